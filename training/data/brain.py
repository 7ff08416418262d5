"""Brain MRI made ready for networks of its own: never for those of CT.

As SimpleSliceNet (Li et al., 2024) sees it: one spacing, grey values scaled by the brain's own.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label

from ctscreener.errors import InputError
from ctscreener.preprocess import Prepared
from ctscreener.resampling import to_lattice
from ctscreener.scan import Scan, reoriented_to_canonical

KIND = "brain-mri"
LEAST_ML = 100.0
"""Less than this is no head."""
AIR_HU = -900.0
"""No MRI has grey values as low; every CT has."""


@dataclass(frozen=True)
class BrainSettings:
    """What is done to a brain MRI before a network sees it."""

    kind: str = KIND
    """Tells the store of it from one of CT."""
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Distance of voxels along (D, H, W), in mm."""
    window: tuple[float, float] = (0.5, 99.5)
    """Percentiles of the head's grey values that become 0 and 255; what lies outside is clipped."""


def prepare_brain(scan: Scan, settings: BrainSettings) -> Prepared:
    """Bring an MRI to the canonical frame and crop it to the head.

    Arguments:
        scan: Grey values in place of HU.
        settings: How.

    Returns:
        Grey values, uint8, and the head.

    Raises:
        InputError: `scan.no_head`, or `scan.no_mri` for a CT.
    """
    darkest = float(np.nanmin(scan.hu))
    if darkest <= AIR_HU:
        raise InputError(
            "scan.no_mri",
            f"Expected a brain MRI, found values down to {darkest:.0f}, as in a CT.",
            "Leave out --kind brain-mri, or check the scan.",
        )
    values, affine = to_lattice(reoriented_to_canonical(scan), np.array(settings.spacing))
    values = np.nan_to_num(values, nan=float(scan.hu.min()))
    head = head_of(values)
    if head.sum() * np.prod(settings.spacing) / 1000 < LEAST_ML:
        raise InputError(
            "scan.no_head",
            f"Expected a head of {LEAST_ML:.0f} ml or more, found "
            f"{head.sum() * np.prod(settings.spacing) / 1000:.0f} ml above the background.",
            "Check that this is an MRI of a whole brain.",
        )
    box = ndimage.find_objects(head.astype(np.uint8))[0]
    start = [side.start for side in box]
    moved = affine.copy()
    moved[:3, 3] = (affine @ [*start, 1.0])[:3]
    low, high = np.percentile(values[head], settings.window)
    grey = np.clip((values[box] - low) / max(high - low, np.finfo(np.float32).eps), 0, 1)
    return Prepared(np.rint(255 * grey).astype(np.uint8), head[box], moved)


def head_of(values: np.ndarray) -> np.ndarray:
    """Find the head, or a brain without its skull: the largest thing above the background.

    Arguments:
        values: Grey values, `(D, H, W)`.

    Returns:
        bool, `(D, H, W)`, without holes in any slice.
    """
    smooth = ndimage.gaussian_filter(values.astype(np.float32), 1.0)
    if smooth.min() == smooth.max():
        return np.zeros(values.shape, dtype=bool)
    # Half of the threshold between dark and bright tissue parts air from both.
    parts = np.asarray(label(smooth > threshold_otsu(smooth) / 2, connectivity=1))
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return np.array([ndimage.binary_fill_holes(one) for one in largest], dtype=bool)
