"""Scans as NIfTI, NRRD and MetaImage files, written field by field so that any can be wrong."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.scan import Scan

Fields = Mapping[str, str | None]
"""Fields to change: their new text, or None to leave them out."""


def lps_columns(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes `(x, y, z)` as columns, and origin, in LPS mm."""
    in_lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    return in_lps[:, [2, 1, 0]], in_lps[:, 3]


def numbers(values: np.ndarray, between: str = " ") -> str:
    """Numbers with all their digits."""
    return between.join(repr(float(value)) for value in values)


def meta_header(scan: Scan, changes: Fields | None = None, kind: str = "MET_SHORT") -> bytes:
    """The header of a MetaImage file, with the voxels of the scan to follow as int16."""
    axes, origin = lps_columns(scan.affine)
    spacing = np.linalg.norm(axes, axis=0)
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": numbers((axes / spacing).T.ravel()),
        "Offset": numbers(origin),
        "ElementSpacing": numbers(spacing),
        "DimSize": " ".join(str(size) for size in scan.shape[::-1]),
        "ElementType": kind,
    }
    last = {"ElementDataFile": "LOCAL"}
    fields = {**fields, **(changes or {}), **last, **(changes or {})}
    end = fields.pop("ElementDataFile")
    lines = [f"{key} = {value}\n" for key, value in fields.items() if value is not None]
    return "".join([*lines, "" if end is None else f"ElementDataFile = {end}\n"]).encode()


def nrrd_header(scan: Scan, changes: Fields | None = None, kind: str = "short") -> bytes:
    """The header of an NRRD file, with the voxels of the scan to follow as int16."""
    axes, origin = lps_columns(scan.affine)
    fields: dict[str, str | None] = {
        "type": kind,
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(str(size) for size in scan.shape[::-1]),
        "space directions": " ".join(f"({numbers(axis, ',')})" for axis in axes.T),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": f"({numbers(origin, ',')})",
        **(changes or {}),
    }
    lines = [f"{key}: {value}\n" for key, value in fields.items() if value is not None]
    return "".join(["NRRD0005\n# made by a test\n", *lines, "\n"]).encode()


def nifti_header(scan: Scan, datatype: int = 4, bits: int = 16) -> bytearray:
    """The header of a NIfTI file of 352 bytes, with sform and qform code 0 and 1."""
    head = bytearray(352)
    affine = scan.affine[:3, [2, 1, 0, 3]]
    for form, at, values in (
        ("i", 0, [348]),
        ("8h", 40, [3, *scan.shape[::-1], 1, 1, 1, 1]),
        ("2h", 70, [datatype, bits]),
        ("8f", 76, [1.0, *scan.spacing[::-1], 1, 1, 1, 1]),
        ("3f", 108, [352.0, 1.0, 0.0]),
        ("B", 123, [2]),
        ("2h", 252, [0, 1]),
        ("12f", 280, affine.ravel().tolist()),
        ("4s", 344, [b"n+1"]),
    ):
        struct.pack_into("<" + form, head, at, *values)
    return head


def int16(scan: Scan) -> bytes:
    """The voxels of a scan, little-endian."""
    return scan.hu.astype("<i2").tobytes()


def refused(path: Path, code: str, *words: str) -> None:
    """Make sure that a file is refused in one line with a code and these words."""
    with pytest.raises(InputError) as caught:
        read_scan(path)
    assert caught.value.code == code, str(caught.value)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def read_as(path: Path, scan: Scan) -> None:
    """Make sure that a file is read as the scan that was written."""
    found = read_scan(path)
    np.testing.assert_array_equal(found.hu, scan.hu)
    np.testing.assert_allclose(found.affine, scan.affine, atol=1e-9)
