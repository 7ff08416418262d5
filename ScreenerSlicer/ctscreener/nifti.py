"""The header of a NIfTI file, read by ourselves: ITK is silent about what is wrong with it.

ITK 5.4 makes up a direction where a file holds none, takes a spacing of zero for 1 mm, reads NaN
as 0, and fills the voxels that a file cut short no longer has. Layout of the header: NIfTI-1.1, nifti1.h.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.itk import in_array_order

HEADER_BYTES = 348
CHUNK_BYTES = 1 << 22
FLOATS = {16: np.dtype("f4"), 64: np.dtype("f8")}
"""Datatype codes of those voxels that can hold NaN, with NumPy's types."""

FIELDS = np.dtype(
    {
        "names": [
            "size",
            "dim",
            "datatype",
            "bitpix",
            "pixdim",
            "offset",
            "qform",
            "sform",
            "rows",
            "magic",
        ],
        "formats": ["<i4", "8<i2", "<i2", "<i2", "8<f4", "<f4", "<i2", "<i2", "(3,4)<f4", "S4"],
        "offsets": [0, 40, 70, 72, 76, 108, 252, 254, 280, 344],
        "itemsize": HEADER_BYTES,
    }
)


def check_voxels(path: Path) -> None:
    """Make sure that the file holds every voxel that its header promises, and a number in each.

    Arguments:
        path: A `.nii` or `.nii.gz` file.

    Raises:
        InputError: `scan.unreadable` when the file is no NIfTI-1 file, damaged or cut short,
            `scan.not_finite` when it holds NaN or infinity.
    """
    header = _fields(path)
    if not _whole(path, header, finite=True):
        raise InputError(
            "scan.not_finite",
            f"Expected a number in every voxel, found NaN or infinity in {path.name}.",
            "Replace these voxels by air (-1000 HU) or convert the scan again.",
        )


def check_whole(path: Path) -> None:
    """Make sure that the file holds every voxel that its header promises, NaN or not.

    Arguments:
        path: A `.nii` or `.nii.gz` file.

    Raises:
        InputError: `scan.unreadable` when the file is no NIfTI-1 file, damaged or cut short.
    """
    _whole(path, _fields(path), finite=False)


def header_affine(path: Path) -> np.ndarray | None:
    """Read where the file says that its voxels lie.

    Arguments:
        path: A `.nii` or `.nii.gz` file.

    Returns:
        Voxel index `(d, h, w, 1)` to RAS mm as the file's sform says, float64, `(4, 4)`; None
        where the file holds a qform alone.

    Raises:
        InputError: `scan.spacing` for a spacing of zero, `scan.orientation` for no orientation.
    """
    header = _fields(path)
    spacing = header["pixdim"][1:4].astype(float)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise InputError(
            "scan.spacing",
            f"Expected a voxel spacing above 0 mm, found {spacing.tolist()} in {path.name}.",
            "Convert the scan from its DICOM files again.",
        )
    if header["qform"] <= 0 and header["sform"] <= 0:
        raise InputError(
            "scan.orientation",
            f"Expected to learn from {path.name} how it lies in the patient, found neither qform "
            "nor sform in its header.",
            "Convert the scan from its DICOM files again, or save it with an affine.",
        )
    if header["sform"] <= 0:
        return None
    return in_array_order(np.vstack([header["rows"].astype(float), [0.0, 0.0, 0.0, 1.0]]))


def _fields(path: Path) -> np.void:
    """Read the header, in whichever byte order it is stored."""
    with _opened(path) as file:
        raw = file.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES:
        raise _damaged(path, f"a NIfTI header of {HEADER_BYTES} bytes", f"{len(raw)} bytes")
    for fields in (FIELDS, FIELDS.newbyteorder()):
        header = np.frombuffer(raw, fields)[0]
        if header["size"] == HEADER_BYTES and header["magic"] == b"n+1":
            return header
    raise _damaged(path, "a NIfTI-1 header", "something else (NIfTI-2 is not read)")


def _whole(path: Path, header: np.void, finite: bool) -> bool:
    """Read through all voxels; return whether all are numbers (where `finite` asks for it)."""
    sizes = header["dim"][1 : 1 + int(header["dim"][0])].astype(np.int64)
    promised = int(np.prod(sizes)) * int(header["bitpix"]) // 8
    number = FLOATS.get(int(header["datatype"]), np.dtype("u1"))
    number = number.newbyteorder(header.dtype["size"].byteorder)
    found, numbers = 0, True
    with _opened(path) as file:
        file.read(int(header["offset"]))
        while found < promised and (chunk := file.read(min(CHUNK_BYTES, promised - found))):
            found += len(chunk)
            if finite:
                values = np.frombuffer(chunk, number, len(chunk) // number.itemsize)
                numbers = numbers and bool(np.isfinite(values).all())
        # A zipped file is checked against its checksum when its end is read.
        while file.read(CHUNK_BYTES):
            continue
    if found < promised:
        raise _damaged(path, f"{promised} bytes of voxels", f"{found}")
    return numbers


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    """Open a file for reading, unzipped where it is zipped (its name does not decide)."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise _damaged(path, "a whole gzip file", "one that ends early or is damaged") from None


def _damaged(path: Path, expected: str, found: str) -> InputError:
    """Say that a file does not hold what it should."""
    return InputError(
        "scan.unreadable",
        f"Expected {expected} in {path.name}, found {found}.",
        "Copy or convert the file again.",
    )
