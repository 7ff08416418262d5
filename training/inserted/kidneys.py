"""The kidneys: a pair of ellipsoids in fat on either side of the spine."""

import numpy as np
from scipy import ndimage

from training.inserted.organ import Organ, require
from training.inserted.overview import Overview, dilated, ellipsoid_mean, eroded, largest

RADII = np.array([42.0, 21.0, 23.0])
"""Half axes of an adult's kidney in mm, along `(D, H, W)`."""
CONTRAST_HU = 75.0
"""A kidney above this is enhanced."""


def find_kidneys(view: Overview) -> Organ:
    """Find both kidneys.

    One alone is not trusted: a bowel loop or a muscle may look like a kidney, hardly two.

    Arguments:
        view: The scan from afar.

    Raises:
        InputError: `insert.organ`.
    """
    calm = view.smooth(2.0)
    spine = _spine(view)
    tissue = (calm > 5) & (calm < 330) & view.body
    fat = (calm > -150) & (calm < -25) & view.body
    likeness = _likeness(view, tissue, fat)
    mask = np.zeros_like(tissue)
    evidence: dict[str, float] = {}
    hu, height = {}, {}
    for side, name in ((-1, "right"), (1, "left")):
        part, found = _one(view, calm, likeness, spine, side)
        evidence |= {f"{name}_{key}": value for key, value in found.items()}
        hu[name] = float(np.median(calm[part]))
        height[name] = float(np.argwhere(part)[:, 0].mean() * view.spacing[0])
        mask |= part
    evidence["difference_hu"] = require(
        "two kidneys", "a difference in HU", abs(hu["left"] - hu["right"]), 0, 25
    )
    evidence["difference_mm"] = require(
        "two kidneys", "a difference of height in mm", abs(height["left"] - height["right"]), 0, 55
    )
    return Organ(mask, float(np.median(calm[mask])), evidence)


def _spine(view: Overview) -> np.ndarray:
    """Middle of the spine in each slice, in blocks `(h, w)`, `(d, 2)`."""
    bone = view.body & (view.hu > 160)
    middle, columns = view.midline, np.arange(view.hu.shape[2])
    bone[:, :, np.abs(columns - middle) * view.spacing[2] > 35] = False
    rows = np.flatnonzero(view.body.any((0, 2)))
    bone[:, : int(rows.mean())] = False
    found = np.full((len(bone), 2), np.nan)
    for number, plane in enumerate(bone):
        at = np.argwhere(plane)
        if len(at) > 8:
            found[number] = np.median(at, axis=0)
    known = np.isfinite(found[:, 0])
    require("the spine", "a share of the slices", float(known.mean()), 0.6)
    every = np.arange(len(bone))
    straight = [
        np.interp(every, every[known], ndimage.median_filter(c[known], 9)) for c in found.T
    ]
    return np.stack(straight, 1)


def _likeness(view: Overview, tissue: np.ndarray, fat: np.ndarray) -> np.ndarray:
    """How much an ellipsoid of tissue in a shell of fat is what lies around each block, 0 to 2."""
    inside = ellipsoid_mean(tissue.astype(np.float32), RADII * 0.85 / view.spacing)
    outer, inner = (RADII + 14) / view.spacing, (RADII + 5) / view.spacing
    ratio = float(np.prod(outer) / np.prod(inner))
    fatty = fat.astype(np.float32)
    shell = (ratio * ellipsoid_mean(fatty, outer) - ellipsoid_mean(fatty, inner)) / (ratio - 1)
    return inside + shell


def _one(
    view: Overview, calm: np.ndarray, likeness: np.ndarray, spine: np.ndarray, side: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Find the kidney of one side: -1 the patient's right, 1 the left."""
    name = "a right kidney" if side < 0 else "a left kidney"
    offset = _offsets(view, spine, side)
    beside = (offset[2] > 34) & (offset[2] < 84) & (offset[1] > -48) & (offset[1] < 32)
    ends = round(30 / view.spacing[0])
    beside[:ends] = beside[-ends:] = False
    score = np.where(beside, likeness, 0)
    at = np.unravel_index(np.argmax(score), score.shape)
    found = {"likeness": require(name, "a likeness", float(score[at]), 1.15)}
    grids = np.ogrid[tuple(slice(0, n) for n in calm.shape)]
    d = [(g - a) * s for g, a, s in zip(grids, at, view.spacing, strict=True)]
    middle = sum((c / r) ** 2 for c, r in zip(d, RADII * 0.7, strict=True)) <= 1
    near = sum((c / r) ** 2 for c, r in zip(d, RADII * 1.55, strict=True)) <= 1
    level = float(np.median(calm[middle & (calm > 5) & (calm < 330)]))
    width = 22.0 if level < CONTRAST_HU else 0.45 * level
    alike = near & view.body & (np.abs(calm - level) <= width)
    core = largest(eroded(alike, view.spacing, 5.0))
    part = dilated(core, view.spacing, 5.5) & alike
    found["volume_ml"] = require(name, "ml", float(part.sum()) * view.voxel_ml, 55, 330)
    shell = dilated(part, view.spacing, 9.0) & ~dilated(part, view.spacing, 4.0)
    fat = (calm[shell] > -150) & (calm[shell] < -10)
    found["in_fat"] = require(name, "a share of fat around it", float(fat.mean()), 0.4)
    found["hu"] = require(name, "HU", level, 12, 290)
    return part, found


def _offsets(view: Overview, spine: np.ndarray, side: int) -> tuple[None, np.ndarray, np.ndarray]:
    """Distance from the spine: to the back, and to a side, in mm."""
    rows, columns = np.arange(view.hu.shape[1]), np.arange(view.hu.shape[2])
    back = (rows[None, :, None] - spine[:, :1, None]) * view.spacing[1]
    aside = side * (columns[None, None, :] - spine[:, 1:, None]) * view.spacing[2]
    shape = view.hu.shape
    return None, np.broadcast_to(back, shape), np.broadcast_to(aside, shape)
