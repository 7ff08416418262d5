"""Voxels as a file stores them: what its header promises, before one of them is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np

from ctscreener.errors import InputError

MAX_VOXELS = 1 << 31
"""A whole body at half a millimetre has 1.5e9; what claims more than this is a damaged header."""

Packing = Literal["raw", "gzip", "zlib"]


@dataclass(frozen=True)
class Place:
    """Where the voxels of an image stand on disk.

    Arguments:
        parts: Its files; each holds an equal share of the voxels, in order.
        start: Bytes of each file before its data.
        lines: Lines of text that follow these bytes, and do not belong to the data either.
        packing: How the data are packed.
        skipped: Bytes of the unpacked data before the voxels.
        packed_bytes: Bytes of packed data, where the header tells their number.
        at_end: Whether the voxels are the last bytes of the data, whatever comes before.
    """

    parts: tuple[Path, ...]
    start: int = 0
    lines: int = 0
    packing: Packing = "raw"
    skipped: int = 0
    packed_bytes: int | None = None
    at_end: bool = False


@dataclass(frozen=True)
class Stored:
    """A three-dimensional image of one real value a voxel, as its header describes it.

    Arguments:
        name: Name of the file that was asked for.
        shape: Voxels along `(D, H, W)`; W runs fastest in the file.
        number: Type of the stored values, with their byte order.
        affine: Voxel index `(d, h, w, 1)` to RAS mm, float64, `(4, 4)`.
        place: Where the voxels are.
        slope: What a stored value is multiplied by.
        intercept: What is added after that.
    """

    name: str
    shape: tuple[int, int, int]
    number: np.dtype
    affine: np.ndarray
    place: Place
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def part_bytes(self) -> int:
        """Bytes of voxels that each part holds, unpacked."""
        return prod(self.shape) * self.number.itemsize // len(self.place.parts)


def volume_shape(sizes: Sequence[int], name: str) -> tuple[int, int, int]:
    """Make sure that the sizes of an image are those of one volume.

    Arguments:
        sizes: Voxels along each axis, that which runs fastest first; axes of one voxel beyond
            the third are no obstacle.
        name: Name of the file.

    Returns:
        `(D, H, W)`.

    Raises:
        InputError: `scan.not_3d`, or `scan.unreadable` for sizes that no scan has.
    """
    if not sizes or min(sizes) < 1 or prod(sizes) > MAX_VOXELS:
        raise damaged(
            name, f"sizes above 0 and at most {MAX_VOXELS} voxels in all", as_sizes(sizes)
        )
    kept = list(sizes)
    while len(kept) > 3 and kept[-1] == 1:
        kept.pop()
    if len(kept) != 3 or kept[2] == 1:
        raise InputError(
            "scan.not_3d",
            f"Expected a three-dimensional scan, found {as_sizes(kept)} voxels in {name}.",
            "Give one volume of a series with many slices.",
        )
    width, height, depth = kept
    return depth, height, width


def as_sizes(sizes: Sequence[int]) -> str:
    """Write the sizes of an image as people do.

    Example:
        >>> as_sizes((2, 3, 4))
        '2 x 3 x 4'
    """
    return " x ".join(str(size) for size in sizes) or "none"


def not_scalar(name: str, found: str) -> InputError:
    """Say that an image holds something else than one real value a voxel."""
    return InputError(
        "scan.not_scalar",
        f"Expected one real value a voxel, found {found} in {name}.",
        "Give the CT itself, not a picture or a field of vectors.",
    )


def not_placed(name: str, found: str) -> InputError:
    """Say that a file does not tell where in the patient its voxels lie."""
    return InputError(
        "scan.orientation",
        f"Expected to learn from {name} how it lies in the patient, found {found}.",
        "Convert the scan from its DICOM files again, or save it with 3D Slicer.",
    )


def no_spacing(name: str, found: str) -> InputError:
    """Say that a file does not tell how far apart its voxels are."""
    return InputError(
        "scan.spacing",
        f"Expected a voxel spacing above 0 mm, found {found} in {name}.",
        "Convert the scan from its DICOM files again, or save it with 3D Slicer.",
    )


def damaged(name: str, expected: str, found: str) -> InputError:
    """Say that a file does not hold what it should."""
    return InputError(
        "scan.unreadable",
        f"Expected {expected} in {name}, found {found}.",
        "Copy or convert the file again.",
    )
