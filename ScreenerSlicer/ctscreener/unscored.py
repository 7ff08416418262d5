"""What of the patient the body mask leaves out: said, not hidden."""

import numpy as np
from scipy import ndimage

from ctscreener.body import SIDES, sides_with
from ctscreener.regions import label, odd

LUNG_HU = (-950.0, -500.0)
"""HU of lung."""
TISSUE_HU = (-150.0, 200.0)
"""HU of fat, water, muscle and organs."""
SHARE = 0.01
"""More left out than this is told."""
THICK_MM = 12.0
"""Regions that are thinner everywhere in their slice do not count."""
SMALLEST_ML = 20.0
"""Less than this is not, whatever its share."""


def unscored(hu: np.ndarray, body: np.ndarray, spacing: np.ndarray) -> list[tuple[str, str]]:
    """Tell how much lung and soft tissue within the body's outline is not in its mask.

    Within the outline is what has body on at least three sides in its slice. Only regions that are
    thick somewhere count: folds of a blanket and surfaces that are half air look like lung.

    Arguments:
        hu: Hounsfield units, NaN where not measured, `(D, H, W)`.
        body: Which voxels are scored, bool, `(D, H, W)`.
        spacing: mm along `(D, H, W)`.

    Returns:
        A code and a sentence for lung and for soft tissue, where more than 1% is left out.
    """
    notices = []
    voxel_ml = float(np.prod(spacing)) / 1000
    for code, name, (low, high) in (
        ("body.lung_unscored", "lung", LUNG_HU),
        ("body.tissue_unscored", "soft tissue", TISSUE_HU),
    ):
        scored, missed = in_and_out(hu, body, spacing, (low, high))
        share = missed / max(1, scored + missed)
        if share > SHARE and missed * voxel_ml > SMALLEST_ML:
            found = (
                f"{share:.0%} of the {name} within the body's outline ({missed * voxel_ml:.0f} ml)"
            )
            notices.append((code, f"About {found} is not scored: it was not taken for body."))
    return notices


def in_and_out(
    hu: np.ndarray, body: np.ndarray, spacing: np.ndarray, window: tuple[float, float]
) -> tuple[int, int]:
    """How many voxels of a range of HU are in the mask, and within its outline beside it."""
    scored = missed = 0
    size = odd(THICK_MM, spacing)[1:]
    # A slice at a time: the memory stays small.
    for plane, inside in zip(hu, body, strict=True):
        with np.errstate(invalid="ignore"):
            wanted = (plane >= window[0]) & (plane <= window[1])
        scored += int((wanted & inside).sum())
        left = wanted & ~inside
        if left.any() and inside.any():
            sides = sides_with(inside[None])[0]
            left &= sum((sides & side) // side for side in SIDES) >= 3
            missed += int(thick(left, size).sum())
    return scored, missed


def thick(mask: np.ndarray, size: list[int]) -> np.ndarray:
    """The regions of a slice's mask that hold a rectangle of this size somewhere, `(H, W)`."""
    inner = np.asarray(ndimage.minimum_filter(mask, size, mode="constant", cval=0), dtype=bool)
    regions, _ = label(mask)
    return mask & np.isin(regions, np.unique(regions[inner]))
