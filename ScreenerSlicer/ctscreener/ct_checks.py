"""What a scan must be like before it can be screened.

Values below -1024 (padding outside the scanner's field of view) pass: preprocessing clips them.
"""

import numpy as np

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ctscreener.stored import as_sizes

MIN_SLICES = 16
# Anything thicker than the 8 mm of old chest protocols hides what the networks look at.
MAX_SLICE_SPACING_MM = 10.0
MAX_PLANE_SPACING_MM = 3.5
MIN_SPACING_MM = 0.05
# cos of the angle between two axes: beyond it, a voxel on the far side is off by more than .5 mm.
MAX_SHEAR = 1e-3
# Air is -1000 HU and fat about -100: a CT without a value below this holds neither air nor lung.
AIR_BELOW_HU = -200.0
SOFT_BELOW_HU = 300.0
# Nine tenths of the tissue in real scans lies between the two bounds above.
MIN_SOFT_SHARE = 0.5
# A thousandth to a hundredth of the tissue in real scans is bone as dense as this, which is where
# soft tissue comes to lie when 1024 was added to every value.
OFFSET_TISSUE_HU = (824.0, 1324.0)
MAX_DENSE_SHARE = 0.15
MIN_TISSUE_SHARE = 0.01
SAMPLED_VOXELS = 2_000_000


def check_scan(scan: Scan) -> None:
    """Make sure that a scan is a CT that can be screened.

    Arguments:
        scan: Any scan, as read.

    Raises:
        InputError: `scan.too_few_slices`, `scan.not_finite`, `scan.constant`, `scan.not_hu` or one
            of `check_grid`.
    """
    check_grid(scan.affine)
    if min(scan.shape) < MIN_SLICES:
        raise InputError(
            "scan.too_few_slices",
            f"Expected at least {MIN_SLICES} voxels along every axis, found {as_sizes(scan.shape)}.",
            "Choose a series with more slices.",
        )
    low, high = float(scan.hu.min()), float(scan.hu.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(
            "scan.not_finite",
            "Expected a number in every voxel, found NaN or infinity.",
            "Replace these voxels by air (-1000 HU) or convert the scan again.",
        )
    if low == high:
        raise InputError(
            "scan.constant",
            f"Expected a picture of a body, found {low:g} in every voxel.",
            "Check that the scan was exported whole.",
        )
    _check_hounsfield(scan.hu, low, high)


def check_grid(affine: np.ndarray) -> None:
    """Make sure that a grid is one that a scanner could have made.

    Arguments:
        affine: Voxel index `(d, h, w, 1)` to RAS mm, `(4, 4)`.

    Raises:
        InputError: `scan.orientation` for an affine that is not finite or whose axes are not
            perpendicular, `scan.spacing` for voxels of no size or too large.
    """
    if not np.isfinite(affine).all():
        raise InputError(
            "scan.orientation",
            "Expected numbers in the scan's affine, found NaN or infinity.",
            "Convert the scan from its DICOM files again.",
        )
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    *plane, thickness = np.sort(spacing)
    if plane[0] < MIN_SPACING_MM or plane[1] > MAX_PLANE_SPACING_MM:
        raise _bad_spacing(spacing)
    if thickness >= MAX_SLICE_SPACING_MM:
        raise _bad_spacing(spacing)
    directions = affine[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > MAX_SHEAR:
        raise InputError(
            "scan.orientation",
            "Expected perpendicular voxel axes, found a sheared grid (a tilted gantry, or an "
            "affine registration saved in the header).",
            "Resample the scan to a straight grid, for example with dcm2niix or 3D Slicer.",
        )


def _bad_spacing(spacing: np.ndarray) -> InputError:
    """Say which spacing was found and which is needed."""
    found = " x ".join(f"{length:.3g}" for length in spacing)
    return InputError(
        "scan.spacing",
        f"Expected voxels of {MIN_SPACING_MM:g} to {MAX_PLANE_SPACING_MM:g} mm in the slice and "
        f"slices less than {MAX_SLICE_SPACING_MM:g} mm apart, found {found} mm.",
        "Choose a series with thinner slices, or correct the spacing in the file.",
    )


def _check_hounsfield(hu: np.ndarray, low: float, high: float) -> None:
    """Raise `scan.not_hu` when the values of `hu`, from `low` to `high`, are no HU."""
    step = max(1, round((hu.size / SAMPLED_VOXELS) ** (1 / 3)))
    sample = hu[::step, ::step, ::step]
    tissue = sample[sample > AIR_BELOW_HU]
    # A scan of air alone is told from a scan of something else by preprocessing.
    enough = tissue.size >= MIN_TISSUE_SHARE * sample.size
    found = f"found values from {low:g} to {high:g}"
    if low >= 0 and high <= 1:
        raise _not_hu(f"{found}: a picture scaled to 0..1, or a mask", "Give the CT itself.")
    if low >= 0 and high <= 255:
        raise _not_hu(f"{found}: 8-bit grey values", "Give the CT itself, not a picture of it.")
    first, last = OFFSET_TISSUE_HU
    if enough and _share(tissue, first, last) > MAX_DENSE_SHARE:
        raise _not_hu(
            f"{found}, most tissue near 1024: a CT with 1024 added, or no CT",
            "If it is a CT, subtract 1024 from every voxel (apply the rescale intercept).",
        )
    if low >= AIR_BELOW_HU:
        raise _not_hu(f"{found}: no air near -1000", "Give a CT in Hounsfield units, not an MR.")
    if enough and _share(tissue, AIR_BELOW_HU, SOFT_BELOW_HU) < MIN_SOFT_SHARE:
        raise _not_hu(
            f"{found}, few of them soft tissue ({AIR_BELOW_HU:g} to {SOFT_BELOW_HU:g})",
            "Give a CT in Hounsfield units, and check its rescale slope and intercept.",
        )


def _share(values: np.ndarray, low: float, high: float) -> float:
    """Return which part of the values lies between two bounds."""
    return float(np.mean((values >= low) & (values <= high)))


def _not_hu(found: str, action: str) -> InputError:
    """Say that the values are not those of a CT."""
    return InputError("scan.not_hu", f"Expected Hounsfield units, {found}.", action)
