"""The kidneys: a pair of ellipsoids in fat on either side of the spine."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from ctscreener.body import regions
from training.inserted.organ import Organ, require
from training.inserted.overview import Overview, dilated, ellipsoid_mean, eroded

RADII = np.array([42.0, 21.0, 23.0])
"""Half axes of an adult's kidney in mm, along `(D, H, W)`."""
CONTRAST_HU = 75.0
"""A kidney above this is enhanced."""
PLACES = 8
"""Places looked at on each side, the most kidney-like first."""
OPENED_MM = 8.0
"""Bridges to liver, spleen and muscle thinner than twice this are cut."""
VOLUME_ML = (45.0, 330.0)
LEAST_LIKENESS = 1.15
LEAST_FAT = 0.35
"""Share of fat in the shell around a kidney."""
LEAST_WHOLE = 0.7
"""Share of the connected tissue that lies in the kidney: a muscle goes on above and below."""
OFF_MUSCLE_HU = 8.0
"""A kidney and the muscles differ by this, with contrast and without; a psoas does not."""
LONGEST = 2.9
"""Length along the body, in mean widths."""


@dataclass(frozen=True)
class Kidney:
    """Something that looks like a kidney.

    Arguments:
        mask: Its blocks, bool, `(d, h, w)`.
        hu: Median HU.
        height: Middle along the body in mm.
        evidence: What it was recognised by.
    """

    mask: np.ndarray
    hu: float
    height: float
    evidence: dict[str, float]


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
    muscle = _muscle(view, calm, spine)
    rights = _candidates(view, calm, likeness, spine, muscle, -1)
    require("a right kidney in fat beside the spine", "a number of places", len(rights), 1)
    lefts = _candidates(view, calm, likeness, spine, muscle, 1)
    require("a left kidney in fat beside the spine", "a number of places", len(lefts), 1)
    right, left = min(product(rights, lefts), key=lambda pair: _unlike(*pair))
    require("two kidneys", "a difference in HU", abs(left.hu - right.hu), 0, 25)
    require("two kidneys", "a difference of height in mm", abs(left.height - right.height), 0, 55)
    evidence = {f"right_{name}": value for name, value in right.evidence.items()}
    evidence |= {f"left_{name}": value for name, value in left.evidence.items()}
    mask = right.mask | left.mask
    return Organ(mask, float(np.median(calm[mask])), evidence)


def _unlike(right: Kidney, left: Kidney) -> float:
    """How much two kidneys differ, 2 or so being the most that is plausible."""
    return abs(left.hu - right.hu) / 25 + abs(left.height - right.height) / 55


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


def _muscle(view: Overview, calm: np.ndarray, spine: np.ndarray) -> float:
    """HU of the muscles behind the spine."""
    back, aside = _offsets(view, spine, 1)
    near = (back > 12) & (back < 60) & (np.abs(aside) > 12) & (np.abs(aside) < 60)
    values = calm[near & view.body & (calm > 15) & (calm < 95)]
    require("the muscles of the back", "ml of tissue", len(values) * view.voxel_ml, 20)
    counts, edges = np.histogram(values, np.arange(15, 97, 2.0))
    return float(edges[np.argmax(ndimage.gaussian_filter1d(counts.astype(float), 1.5))] + 1)


def _candidates(
    view: Overview,
    calm: np.ndarray,
    likeness: np.ndarray,
    spine: np.ndarray,
    muscle: float,
    side: int,
) -> list[Kidney]:
    """What looks like a kidney on one side: -1 the patient's right, 1 the left."""
    back, aside = _offsets(view, spine, side)
    beside = (aside > 34) & (aside < 88) & (back > -45) & (back < 24)
    ends = round(30 / view.spacing[0])
    beside[:ends] = beside[-ends:] = False
    score = np.where(beside, likeness, 0)
    found = []
    for _ in range(PLACES):
        at = np.array(np.unravel_index(np.argmax(score), score.shape))
        best = float(score[tuple(at)])
        if best < LEAST_LIKENESS:
            break
        kidney = _grown(view, calm, at, best)
        if kidney is not None and _is_no_muscle(kidney, muscle):
            found.append(kidney)
        score[_ball(view, at, np.full(3, 24.0))] = 0
    return found


def _is_no_muscle(kidney: Kidney, muscle: float) -> bool:
    """Whether its density, or else fat all around, tells a kidney from a muscle."""
    found = kidney.evidence
    alone = found["in_fat"] >= 0.6 and found["whole"] >= 0.8 and found["length"] <= 2.6
    return alone or abs(kidney.hu - muscle) >= OFF_MUSCLE_HU


def _ball(view: Overview, at: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Blocks within an ellipsoid of half axes in mm, bool, `(d, h, w)`."""
    grids = np.ogrid[tuple(slice(0, n) for n in view.hu.shape)]
    d = [(g - a) * s / r for g, a, s, r in zip(grids, at, view.spacing, radii, strict=True)]
    return np.asarray(sum(c**2 for c in d) <= 1)


def _grown(view: Overview, calm: np.ndarray, at: np.ndarray, best: float) -> Kidney | None:
    """Grow a kidney from its middle; None where what grows is none."""
    tissue = calm[_ball(view, at, RADII * 0.7)]
    tissue = tissue[(tissue > 5) & (tissue < 330)]
    hu = float(np.median(tissue)) if len(tissue) else 0.0
    low, high = (20.0, 20.0) if hu < CONTRAST_HU else (0.32 * hu, 0.6 * hu)
    # A part of the scan that is larger than a kidney: there a muscle shows that it goes on.
    reach = np.ceil((RADII * 1.55 + 30) / view.spacing).astype(int)
    start = np.maximum(at - reach, 0)
    part = tuple(slice(int(a), int(b)) for a, b in zip(start, at + reach + 1, strict=True))
    values, near = calm[part], _ball(view, at, RADII * 1.55)[part]
    if hu < CONTRAST_HU:
        # What little contrast there is drowns in noise otherwise.
        values = ndimage.gaussian_filter(values, 3.0 / view.spacing, mode="nearest", truncate=3.0)
    alike = view.body[part] & (values > hu - low) & (values < hu + high)
    core = eroded(alike, view.spacing, OPENED_MM)
    parts = regions(core)
    inside = np.bincount(parts[near & core], minlength=2)
    inside[0] = 0
    core = parts == np.argmax(inside) if inside.any() else np.zeros_like(core)
    whole = dilated(core, view.spacing, OPENED_MM - 1.0) & alike
    mine = whole & near
    volume = float(mine.sum()) * view.voxel_ml
    at_an_end = (start[0] == 0 and mine[0].any()) or (
        at[0] + reach[0] + 1 >= len(calm) and mine[-1].any()
    )
    if at_an_end or not VOLUME_ML[0] <= volume <= VOLUME_ML[1]:
        return None
    shell = dilated(mine, view.spacing, 9.0) & ~dilated(mine, view.spacing, 4.0)
    around = calm[part][shell]
    evidence = {
        "likeness": best,
        "volume_ml": volume,
        "in_fat": float(((around > -150) & (around < -10)).mean()),
        "whole": float(mine.sum() / whole.sum()),
        "length": _length(mine, view.spacing),
        "hu": hu,
    }
    if evidence["in_fat"] < LEAST_FAT or evidence["whole"] < LEAST_WHOLE:
        return None
    if evidence["length"] > LONGEST or not 12 <= hu <= 290:
        return None
    mask = np.zeros(calm.shape, bool)
    mask[part] = mine
    height = float(np.argwhere(mask)[:, 0].mean() * view.spacing[0])
    return Kidney(mask, hu, height, {name: round(value, 3) for name, value in evidence.items()})


def _length(mask: np.ndarray, spacing: np.ndarray) -> float:
    """Length of a body along its longest axis, relative to the mean of the other two."""
    points = np.argwhere(mask) * spacing
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
    return float(spread[2] / spread[:2].mean())


def _offsets(view: Overview, spine: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the spine in mm: to the back, `(d, h, w)`, and to a side."""
    rows, columns = np.arange(view.hu.shape[1]), np.arange(view.hu.shape[2])
    back = (rows[None, :, None] - spine[:, :1, None]) * view.spacing[1]
    aside = side * (columns[None, None, :] - spine[:, 1:, None]) * view.spacing[2]
    shape = view.hu.shape
    return np.broadcast_to(back, shape), np.broadcast_to(aside, shape)
