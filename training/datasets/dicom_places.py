"""Where the images of a DICOM series lie on the grid of the scan that was read from them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctscreener.file_tree import files_below
from ctscreener.itk import LPS
from ctscreener.scan import Scan

if TYPE_CHECKING:
    import pydicom

NEAR = 0.25
"""How far from a slice, in slices, an image of it may lie: positions are written rounded."""


def headers(folder: Path, tags: tuple[str, ...]) -> Iterator[tuple[Path, "pydicom.Dataset"]]:
    """Read a few elements of every DICOM file below a folder.

    Arguments:
        folder: The folder.
        tags: Keywords of the elements.

    Raises:
        InputError: One of `files_below`.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    for path in files_below(folder):
        try:
            yield path, pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
        except InvalidDicomError:
            continue


def slice_numbers(folder: Path, scan: Scan) -> dict[str, int]:
    """Tell which slice of a scan each image of its series is, by where it lies.

    File names and InstanceNumbers say nothing of the order of slices, and copies of slices have
    been left out of the scan.

    Arguments:
        folder: The folder that the scan was read from.
        scan: The scan, as read: D across its slices.

    Returns:
        SOPInstanceUID and index along D; no image that lies on none of the slices.
    """
    to_index = np.linalg.inv(scan.affine) @ LPS
    found = {}
    for _, header in headers(folder, ("SOPInstanceUID", "ImagePositionPatient")):
        if header.get("ImagePositionPatient") is None:
            continue
        place = float((to_index @ [*map(float, header.ImagePositionPatient), 1.0])[0])
        number = round(place)
        if abs(place - number) <= NEAR and 0 <= number < scan.shape[0]:
            found[str(header.SOPInstanceUID)] = number
    return found
