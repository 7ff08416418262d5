"""Where a scanner or a resampling filled in one value, because nothing was measured there."""

import numpy as np
from scipy import ndimage

from ctscreener.regions import CROSS, label

FLAT_HU = 0.5
"""Neighbours that differ by less hold one value: measured air has more noise than that."""
EDGE_MM = 3.0
"""So far from the padding voxels are a mixture of it and of what was measured."""
AIR_HU = -900.0
"""Padding below mixes with tissue to what looks like air, padding above to what looks like
tissue."""
DENSE_HU = -500.0
"""Of a mixture with air, what lies above is mostly tissue and stays."""


def without_padding(hu: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The scan with NaN in place of padding: one value from the border of a slice inwards.

    The value does not matter: -3024 outside of the circle of reconstruction, 0 from a resampling,
    -1000 around a body that was cut out. Next to it the mixtures go as well, so that a cut through
    the patient has no seam. Air that was clipped to one value counts as padding, too.

    Arguments:
        hu: Hounsfield units, NaN where not measured, `(D, H, W)`.
        spacing: mm along `(D, H, W)`.

    Returns:
        float32, `(D, H, W)`.
    """
    return np.stack([slice_without_padding(plane, spacing[1:]) for plane in hu])


def slice_without_padding(plane: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """One slice with NaN in place of padding, `(H, W)`."""
    inner = at_the_border(flat(plane))
    if not inner.any():
        return plane
    padding = ndimage.binary_dilation(inner, CROSS) & np.isfinite(plane)
    steps = max(1, round(EDGE_MM / float(spacing.min())))
    with np.errstate(invalid="ignore"):
        mixed = (plane < DENSE_HU) | near(padding & (plane > AIR_HU), steps)
    grown = ndimage.binary_dilation(padding, CROSS, iterations=steps, mask=mixed | padding)
    return np.where(grown, np.nan, plane).astype(np.float32)


def flat(plane: np.ndarray) -> np.ndarray:
    """Voxels whose neighbours along both axes hold their value; the border has fewer."""
    flat = np.isfinite(plane)
    with np.errstate(invalid="ignore"):
        for axis in (0, 1):
            same = np.abs(np.diff(plane, axis=axis)) < FLAT_HU
            flat &= np.insert(same, 0, True, axis) & np.insert(same, same.shape[axis], True, axis)
    return flat


def at_the_border(mask: np.ndarray) -> np.ndarray:
    """The regions of a slice's mask that reach its border, `(H, W)`."""
    regions, count = label(mask)
    reach = np.zeros(count + 1, bool)
    for side in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        reach[side] = True
    reach[0] = False
    return reach[regions]


def near(mask: np.ndarray, steps: int) -> np.ndarray:
    """What lies within so many voxels of a slice's mask, `(H, W)`."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.binary_dilation(mask, CROSS, iterations=steps))
