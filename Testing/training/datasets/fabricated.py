"""Data sets made up in their real layouts: one body with one lesion whose place is known.

The body and the lesion are functions of the place in the patient (RAS mm), so that any grid can
show them: turned, flipped, oblique or cut.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from pydicom.dataset import FileDataset

from ctscreener.files import read_scan
from ctscreener.scan import Scan
from Testing.engine.conftest import one_slice
from training.datasets.example import Example, Reader
from training.datasets.masks import on_grid

CENTRE = np.array([-36.0, 16.0, 22.0])
"""Of the lesion: left, in front, and nearer to the head. RAS mm."""
RADII = np.array([12.0, 10.0, 14.0])
BODY = np.array([78.0, 56.0, 64.0])
LIVER = np.array([34.0, 4.0, 0.0])
"""Centre of an organ on the right, with a radius of 22 mm."""
SPACING = (4.0, 3.0, 3.0)
SHAPE = (34, 44, 56)
ORGAN, LESION = 1, 2
TISSUE_HU, BONE_HU, LESION_HU = 40.0, 500.0, 160.0

Places = np.ndarray


def ellipsoid(places: Places, centre: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    return (((places - centre) / radii) ** 2).sum(axis=-1) <= 1


def hu_of(places: Places) -> np.ndarray:
    """HU at places `(..., 3)`: air, a body with lungs at the top and a spine, and the lesion."""
    hu = np.where(ellipsoid(places, np.zeros(3), BODY), TISSUE_HU, -1000.0)
    lungs = ellipsoid(places, np.array([0.0, 0.0, 44.0]), np.array([36.0, 26.0, 14.0]))
    spine = ellipsoid(places * [1, 1, 0], np.array([0.0, -40.0, 0.0]), 9.0) & (hu > -500)
    hu[lungs] = -850
    hu[spine] = BONE_HU
    hu[ellipsoid(places, CENTRE, RADII)] = LESION_HU
    return hu


def labels_of(places: Places) -> np.ndarray:
    """1 in the organ on the right, 2 in the lesion."""
    labels = np.where(ellipsoid(places, LIVER, 22.0), ORGAN, 0)
    labels[ellipsoid(places, CENTRE, RADII)] = LESION
    return labels.astype(np.uint8)


@dataclass(frozen=True)
class Grid:
    """Voxels `(i, j, k)` of a file and the affine to RAS mm, as NIfTI has them."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    def places(self) -> Places:
        """Where each voxel lies, RAS mm, `(*shape, 3)`."""
        index = np.stack(np.indices(self.shape), axis=-1)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]


def grid(codes: str = "LPS", shift: tuple[float, float, float] = (0, 0, 0)) -> Grid:
    """A grid around the body.

    Arguments:
        codes: What the axes run to, such as `LPS` or, slice first, `IPL`.
        shift: Of the middle of the grid, RAS mm.
    """
    shape, spacing = np.array(SHAPE[::-1]), np.array(SPACING[::-1])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(shape - 1) / 2 * spacing + shift
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    turned = tuple(int(shape[list(turn[:, 0]).index(axis)]) for axis in range(3))
    return Grid((turned[0], turned[1], turned[2]), affine @ inv_ornt_aff(turn, tuple(shape)))


def write_nifti(
    path: Path,
    where: Grid,
    values: Callable[[Places], np.ndarray] = hu_of,
    header: np.ndarray | None = None,
    dtype: str = "int16",
) -> Path:
    """Write what a grid shows; `header` is what the file says of it, where it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = where.affine if header is None else header
    nib.save(nib.Nifti1Image(values(where.places()).astype(dtype), affine), path)  # type: ignore[attr-defined]
    return path


@dataclass(frozen=True)
class Series:
    """A DICOM series that was written: the UID of each slice, from feet to head."""

    uid: str
    images: list[str]
    where: Grid
    """Columns, rows and slices."""

    def outline(self, number: int, points: int = 90) -> np.ndarray | None:
        """The lesion's contour on a slice, as (column, row) in fractions of pixels."""
        z = float(self.where.affine[2, 3] + self.where.affine[2, 2] * number)
        share = 1 - ((z - CENTRE[2]) / RADII[2]) ** 2
        if share <= 0:
            return None
        angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * RADII[:2] * share**0.5
        origin, step = self.where.affine[:2, 3], np.diag(self.where.affine)[:2]
        return (CENTRE[:2] + ring - origin) / step

    def outlines(self) -> Iterator[tuple[str, np.ndarray]]:
        """The lesion's contours, with the UID of the slice of each."""
        for number, image in enumerate(self.images):
            if (points := self.outline(number)) is not None:
                yield image, points


def write_series(
    folder: Path,
    uid: str = "1.2.826.77.1",
    per_slice: bool = False,
    change: Callable[[FileDataset, int], object] = lambda data, number: None,
    slices: int = SHAPE[0],
    left_out: tuple[int, ...] = (),
) -> Series:
    """Write the body as CT slices whose names and numbers run from the head to the feet.

    Arguments:
        folder: Where to.
        uid: SeriesInstanceUID.
        per_slice: Give each slice a slope and an intercept of its own.
        change: Alters a slice before it is written.
        slices: How many, from the feet.
        left_out: Numbers of slices that are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    where = grid("LPS")
    hu = hu_of(where.places()).transpose(2, 1, 0)
    images = []
    for number, values in enumerate(hu[:slices]):
        slope = 1 + (number % 3 if per_slice else 0)
        data = one_slice((np.round(values / slope)).astype(np.float32), number, uid)
        data.RescaleSlope, data.RescaleIntercept = slope, -1024 * slope
        x, y, z = (where.affine @ [0, 0, number, 1])[:3]
        data.ImagePositionPatient = [-x, -y, z]
        data.PixelSpacing = [SPACING[1], SPACING[2]]
        data.StudyInstanceUID = f"{uid}.9"
        data.FrameOfReferenceUID = f"{uid}.8"
        change(data, number)
        images.append(str(data.SOPInstanceUID))
        if number not in left_out:
            data.save_as(folder / f"1-{len(hu) - number:03}.dcm", enforce_file_format=True)
    return Series(uid, images, where)


def read(reader: Reader, example: Example, resampled: bool = False) -> tuple[Scan, np.ndarray]:
    """Read scan and mask of an example, as the stages do."""
    scan = reader.read(example, read_scan)
    return scan, on_grid(reader.mask(example, scan), scan, example.name, resampled)


def middle(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The middle of a mask in RAS mm."""
    assert mask.any()
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


def check_places(scan: Scan, labels: np.ndarray, lesion: int = LESION, near: float = 0.8) -> None:
    """See that scan and mask show the lesion where it is in the patient, and of its size."""
    bright = np.abs(scan.hu - LESION_HU) < 40
    ml = 4 / 3 * np.pi * np.prod(RADII) / 1000
    for what in (bright, labels == lesion):
        np.testing.assert_allclose(middle(what, scan.affine), CENTRE, atol=near)
        assert abs(what.sum() * np.prod(scan.spacing) / 1000 / ml - 1) < 0.15
    np.testing.assert_allclose(middle(scan.hu > 400, scan.affine)[1], -40, atol=2)
    assert middle((scan.hu > -900) & (scan.hu < -700), scan.affine)[2] > 40
