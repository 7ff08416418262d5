"""The DICOM series that a volume was loaded from: patient, study and planes of what is exported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctscreener.errors import InputError
from ctscreener.itk import LPS
from ctscreener.progress import Progress, silent
from ScreenerSlicerLib.translation import tr as _

if TYPE_CHECKING:
    from pydicom import Dataset

SAME_PLACE = 0.1
"""Part of a voxel by which planes may be apart and still be the same."""
# Required by the standard, though often taken out together with the patient's name.
EXPECTED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)


@dataclass(frozen=True)
class Planes:
    """A grid as DICOM says it: in LPS mm, slice after slice.

    Arguments:
        positions: Centre of each slice's first voxel, `(D, 3)`.
        orientation: Directions of a row and of a column, `(6,)`.
        spacing: Distance of rows, of columns and of slices in mm, `(3,)`.
    """

    positions: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray


def planes_of(shape: tuple[int, ...], affine: np.ndarray) -> Planes:
    """Turn the grid of a map into planes.

    Arguments:
        shape: Its voxels, `(D, H, W)`.
        affine: Voxel `(d, h, w, 1)` to RAS mm, `(4, 4)`.
    """
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    slices, rows, columns = (lps[:3, :3] / spacing).T
    steps = np.arange(shape[0])[:, None] * slices * spacing[0]
    # A row runs along W, a column along H.
    orientation = np.concatenate([columns, rows])
    return Planes(lps[:3, 3] + steps, orientation, spacing[[1, 2, 0]])


def read_source(
    files: Sequence[Path],
    shape: tuple[int, ...],
    affine: np.ndarray,
    progress: Progress = silent,
) -> list["Dataset"]:
    """Read the headers of a volume's DICOM files, and make sure that they are this volume's.

    Arguments:
        files: One file a slice, in any order.
        shape: Voxels of the volume, `(D, H, W)`.
        affine: Its voxel `(d, h, w, 1)` to RAS mm.
        progress: Told `reading headers`, file after file.

    Returns:
        A header for each slice, in the order of D.

    Raises:
        InputError: `dicom.source` where files are missing or no DICOM, `dicom.grid` where their
            planes are not those of the volume.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    headers: list[Dataset] = []
    try:
        for number, file in enumerate(files):
            progress("reading headers", number, len(files))
            headers.append(dcmread(file, stop_before_pixels=True))
    except (OSError, InvalidDicomError) as failure:
        unread = _("a file that cannot be read ({why})").format(why=failure)
        raise _unusable(unread) from failure
    if len(headers) != shape[0]:
        count = _("{files} files for {slices} slices")
        raise _unusable(count.format(files=len(headers), slices=shape[0]))
    if len({one.get("SeriesInstanceUID") for one in headers}) != 1:
        raise _unusable(_("several series"))
    if any("ImagePositionPatient" not in one or "Rows" not in one for one in headers):
        raise _unusable(_("files that do not say where they lie"))
    planes = planes_of(shape, affine)
    in_order = _matched(headers, shape, planes)
    for header in in_order:
        for name in EXPECTED:
            if name not in header:
                setattr(header, name, "")
        if not header.get("SliceThickness"):
            header.SliceThickness = float(planes.spacing[2])
    return in_order


def _matched(headers: list["Dataset"], shape: tuple[int, ...], planes: Planes) -> list["Dataset"]:
    """Sort headers by the planes of the volume; each must lie on one of its own."""
    normal = np.cross(planes.orientation[:3], planes.orientation[3:])
    # The slices of the volume may run against the normal.
    way = normal * np.sign((planes.positions[-1] - planes.positions[0]) @ normal)
    in_order = sorted(headers, key=lambda one: float(np.dot(one.ImagePositionPatient, way)))
    apart = [
        np.abs(np.array(one.ImagePositionPatient, float) - position).max()
        for one, position in zip(in_order, planes.positions, strict=True)
    ]
    turned = max(
        np.abs(np.array(one.ImageOrientationPatient, float) - planes.orientation).max()
        for one in in_order
    )
    sizes = {(one.Rows, one.Columns) for one in headers}
    same = max(apart) <= SAME_PLACE * planes.spacing.min() and turned * max(shape) <= 1
    if not same or sizes != {tuple(shape[1:])}:
        raise InputError(
            "dicom.grid",
            _(
                "Expected the planes of the DICOM series in the volume, found others: it was "
                "cropped, resampled, turned, or has slices of uneven distance."
            ),
            _("Screen the volume as it was loaded from DICOM, and export that."),
        )
    return in_order


def _unusable(found: str) -> InputError:
    expected = _(
        "Expected the DICOM files that the volume was loaded from, one a slice, found {found}."
    )
    return InputError(
        "dicom.source",
        expected.format(found=found),
        _("Load the scan from Slicer's DICOM database and screen it again."),
    )
