"""A map on disk: NRRD written slice by slice, so that it takes no second map's memory; or NIfTI."""

import errno
import gzip
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ctscreener.errors import InputError
from ctscreener.itk import LPS, in_array_order, quiet, to_image
from ctscreener.whole_file import whole_file

if TYPE_CHECKING:
    import SimpleITK as sitk

FORMATS = (".nrrd", ".nii.gz")
# Maps are noise in their last bits: harder compression takes five times as long for 1 % less.
COMPRESSION, SMALLEST = 1, 9


def write_map(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write one value a voxel, on exactly the grid that the affine tells.

    Arguments:
        path: `.nrrd` or `.nii.gz`; what stood there is replaced.
        values: Stored as float32, NaN where there is no value, `(D, H, W)`.
        affine: Voxel index `(d, h, w, 1)` to RAS mm, `(4, 4)`, with perpendicular axes.

    Raises:
        InputError: `output.format` for another file name, `output.name` for one that ITK cannot
            write, or one of `whole_file`.
    """
    if not path.name.endswith(FORMATS):
        raise InputError(
            "output.format",
            f"Expected a map's name to end in {' or '.join(FORMATS)}, found {path.name}.",
            "Choose one of these endings.",
        )
    with whole_file(path) as part:
        if path.name.endswith(".nrrd"):
            _write_nrrd(part, values, affine)
        else:
            image = to_image(values.astype(np.float32, copy=False), affine)
            write_image(part, image, COMPRESSION)


def write_labels(path: Path, labels: np.ndarray, affine: np.ndarray) -> None:
    """Write one label a voxel as NRRD, as small as it gets.

    Arguments:
        path: `.nrrd`; what stood there is replaced.
        labels: uint8, `(D, H, W)`.
        affine: Voxel index `(d, h, w, 1)` to RAS mm, `(4, 4)`, with perpendicular axes.

    Raises:
        InputError: One of `whole_file`.
    """
    with whole_file(path) as part, part.open("wb") as file:
        file.write(nrrd_header(labels.shape, affine, "unsigned char").encode("ascii"))
        for piece in zipped((np.ascontiguousarray(one, "u1") for one in labels), SMALLEST):
            file.write(piece)


def _write_nrrd(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write a compressed NRRD file; see http://teem.sourceforge.net/nrrd/format.html."""
    with path.open("wb") as file:
        file.write(nrrd_header(values.shape, affine, "float").encode("ascii"))
        for piece in zipped((np.ascontiguousarray(one, "<f4") for one in values), COMPRESSION):
            file.write(piece)


def nrrd_header(
    shape: tuple[int, ...],
    affine: np.ndarray,
    kind: str,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Describe a grid of gzipped values; a number stands for each float64, none is rounded.

    Arguments:
        shape: `(D, H, W)`.
        affine: Voxel index to RAS mm, `(4, 4)`.
        kind: What NRRD calls the type of the values.
        notes: What else the file says of itself.
    """
    columns = (LPS @ in_array_order(affine))[:3].T
    vectors = ["({})".format(",".join(repr(float(x)) for x in column)) for column in columns]
    lines = [
        "NRRD0004",
        f"type: {kind}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(extent) for extent in shape[::-1])}",
        f"space directions: {' '.join(vectors[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {vectors[3]}",
        *(f"{name}:={text}" for name, text in notes.items()),
    ]
    return "\n".join(lines) + "\n\n"


def zipped(slices: Iterable[np.ndarray], compression: int) -> Iterator[bytes]:
    """Give slices in gzip, one at a time, as they lie in memory."""
    packer = zlib.compressobj(compression, wbits=31)
    for one in slices:
        yield packer.compress(one.data)
    yield packer.flush()


def write_image(path: Path, image: "sitk.Image", compression: int = -1) -> None:
    """Write an image by ITK, compressed, and turn its failures into those of the system.

    Arguments:
        path: The file; its ending chooses the format.
        image: What to write.
        compression: From 1, quick, to 9; ITK's own choice by default.

    Raises:
        InputError: `output.name` where the path is no UTF-8: ITK would end the whole process.
        OSError: It cannot be written.
    """
    import SimpleITK as sitk

    try:
        name = str(path)
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            "output.name",
            f"Expected a path that is written in UTF-8, found {path.parent.parent}.",
            "Rename the folder, or choose another.",
        ) from error
    try:
        with quiet():
            sitk.WriteImage(image, name, True, compression)
    except RuntimeError as failure:
        raise OSError(errno.EIO, str(failure)) from failure
    voxel_bytes = image.GetSizeOfPixelComponent() * image.GetNumberOfComponentsPerPixel()
    if name.endswith(".nii.gz") and _unzipped(path) < voxel_bytes * math.prod(image.GetSize()):
        # ITK reports no error when the disk is full while it writes this format.
        raise OSError(errno.EIO, "the file ends too early")


def _unzipped(path: Path) -> int:
    """Bytes that a gzip file holds; 0 where it is damaged or cut short."""
    total = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(1 << 20):
                total += len(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return 0
    return total
