"""Independent readers: nibabel, and parsers of NRRD and MetaImage of a page each.

They share no line with the readers that they judge. What they cannot read they refuse.
"""

import gzip
import re
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import imageglobals

# Its remarks on headers are not wanted.
imageglobals.logger.setLevel("CRITICAL")

Image = tuple[np.ndarray, np.ndarray]
"""Values `(D, H, W)`, and the affine of index `(d, h, w, 1)` to RAS mm."""
Oracle = Callable[[Path], Image]
METRES = {1: 1e3, 3: 1e-3}
NRRD_TYPES = {"int8": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4"}
NRRD_TYPES |= {"uint": "u4", "float": "f4", "double": "f8"}
META_TYPES = {"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2"}
META_TYPES |= {"MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4"}
META_TYPES |= {"MET_FLOAT": "f4", "MET_DOUBLE": "f8"}


def by_array_index(affine: np.ndarray) -> np.ndarray:
    """Turn an affine of index `(w, h, d, 1)` into one of `(d, h, w, 1)`."""
    return affine[:, [2, 1, 0, 3]]


def read_nifti(path: Path) -> Image:
    """Read by nibabel, from bytes so that no name can mislead it.

    Raises:
        Exception: Whatever nibabel raises.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        with gzip.open(path) as file:
            content = file.read(1 << 27)
    image = nib.Nifti1Image.from_bytes(content)
    header = image.header
    if not (int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0):
        raise ValueError("no orientation")
    scale = METRES.get(int(header["xyzt_units"]) & 7, 1.0)
    values = np.asarray(image.dataobj)
    values = values.reshape(values.shape[:3] if values.ndim > 3 else values.shape)
    return values.T, by_array_index(np.diag([scale, scale, scale, 1]) @ image.affine)


def read_nrrd(path: Path) -> Image:
    """Read the NRRD files that this package writes.

    Raises:
        Exception: Anything is not as expected.
    """
    content = path.read_bytes()
    head, *rest = re.split(rb"\r?\n\r?\n", content, maxsplit=1)
    data = rest[0] if rest else b""
    lines = [line.strip() for line in head.decode("latin-1").split("\n")[1:]]
    pairs = [line.split(":", 1) for line in lines if line and not re.match(r"#|[^:]*:=", line)]
    fields = {key.strip().lower(): value.strip() for key, value in pairs}
    if "data file" in fields:
        data = (path.parent / fields["data file"]).read_bytes()
    if fields["encoding"].lower() in ("gzip", "gz"):
        data = gzip.decompress(data)
    skip = int(fields.get("byte skip", 0))
    order = {"little": "<", "big": ">"}[fields.get("endian", "little").lower()]
    kind = np.dtype(order + NRRD_TYPES[fields["type"].lower()])
    sizes = [int(word) for word in fields["sizes"].split()]
    data = data[-prod(sizes) * kind.itemsize :] if skip < 0 else data[skip:]
    values = np.frombuffer(data, kind, prod(sizes)).reshape(sizes[::-1])
    vectors = [
        [float(number) for number in found.split(",")]
        for found in re.findall(r"\(([^)]*)\)", fields["space directions"])
    ]
    origin = [float(number) for number in fields["space origin"].strip("()").split(",")]
    affine = np.eye(4)
    affine[:3] = np.column_stack([*vectors[:3], origin])
    to_ras = {"l": -1.0, "r": 1.0, "p": -1.0, "a": 1.0, "s": 1.0}
    space = fields["space"].lower()
    letters = space if len(space) == 3 else [word[0] for word in space.split("-")]
    affine = np.diag([*(to_ras[letter] for letter in letters), 1]) @ affine
    return values.reshape(values.shape[-3:]), by_array_index(affine)


def read_meta(path: Path) -> Image:
    """Read the MetaImage files that this package writes.

    Raises:
        Exception: Anything is not as expected.
    """
    content = path.read_bytes()
    end = content.find(b"\n", content.index(b"ElementDataFile"))
    # The last line of a header beside its data may have no end.
    end = len(content) if end < 0 else end
    lines = content[:end].decode("latin-1").split("\n")
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)
    }
    name = fields["ElementDataFile"]
    data = content[end + 1 :] if name == "LOCAL" else (path.parent / name).read_bytes()
    if fields.get("CompressedData", "False")[0] in "Tt1":
        data = zlib.decompress(data, 47)
    skip = int(fields.get("HeaderSize", 0))
    order = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))
    kind = np.dtype((">" if order[0] in "Tt1" else "<") + META_TYPES[fields["ElementType"]])
    sizes = [int(word) for word in fields["DimSize"].split()]
    data = data[-prod(sizes) * kind.itemsize :] if skip < 0 else data[skip:]
    values = np.frombuffer(data, kind, prod(sizes)).reshape(sizes[::-1])
    axes = int(fields["NDims"])
    matrix = np.array([float(word) for word in fields["TransformMatrix"].split()])
    spacing = [float(word) for word in fields["ElementSpacing"].split()]
    affine = np.eye(4)
    affine[:3, :3] = matrix.reshape(axes, axes)[:3, :3].T * spacing[:3]
    affine[:3, 3] = [float(word) for word in fields["Offset"].split()][:3]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return values.reshape(values.shape[-3:]), by_array_index(affine)
