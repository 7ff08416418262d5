"""The kidneys: a pair of ellipsoids on either side of the spine, unlike all around them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from training.inserted.ellipsoid import DIRECTIONS, INSIDE, OUTER, SPHERE, Ellipsoid, fitted
from training.inserted.organ import Organ, require
from training.inserted.overview import Overview, dilated, eroded, largest

CONTRAST_HU = 75.0
"""A kidney above this is enhanced."""
AXES = np.array([50.0, 27.0, 27.0])
SHORTEST, LONGEST = np.array([40.0, 19.0, 19.0]), np.array([72.0, 38.0, 38.0])
"""Half axes of an adult's kidney in mm, along `(D, H, W)`: those begun with, and their limits."""
STEP_MM = 22.0
"""Distance of the slices in which fits begin."""
ASIDE, BACK = (58.0, 84.0), (-32.0, -4.0)
"""Where they begin, in mm from the spine."""
TRIES, REFINED = (120, 250, 250), 6
"""Costs computed for each fit, and then for so many of the best, twice."""
PLACES = {"aside": (38.0, 108.0), "back": (-48.0, 28.0)}
"""Where a kidney's middle lies, in mm from the spine's: to its side, and to the patient's back."""
BEYOND_MM = 4.0
"""A kidney is taken to leave its ellipsoid by this at most: other organs begin there."""
OPENED_MM, SINUS_MM = 4.0, 6.0
"""Half widths: bridges thinner than the one are cut, hollows thinner than the other filled."""
LIMITS = {
    "trust": (0.65, 4.0),
    "gas": (0.0, 0.05),
    "filled": (0.5, 1.0),
    "volume_ml": (45.0, 330.0),
}
"""What is measured at a kidney; see `_measured`."""
ALIKE = {"hu": 10.0, "height": 38.0, "aside": 25.0, "back": 20.0}
"""How far the two kidneys of a patient differ at most."""
ALIKE_ENHANCED_HU = 17.0
BONE = 5.0
"""How much a share of bone around it speaks against a kidney."""
PAIR, UNLIKE = 1.32, 0.7
"""Least trust in both together, less so much for kidneys that differ as far as they may.

Of twelve phantoms and four patients no true pair was below 1.38, no wholly wrong one above 1.26."""


@dataclass(frozen=True)
class Kidney:
    """Something that looks like a kidney.

    Arguments:
        mask: Its blocks, bool, `(d, h, w)`.
        place: `hu`, and in mm `height` along the body, `aside` and `back` of the spine.
        evidence: What it was recognised by; see `LIMITS`.
    """

    mask: np.ndarray
    place: dict[str, float]
    evidence: dict[str, float]


@dataclass(frozen=True)
class Surroundings:
    """What a kidney is looked for in.

    Arguments:
        view: The scan from afar.
        sharp: HU that still show fat between two organs, `(d, h, w)`.
        calm: HU smooth enough to tell a kidney from liver and muscle without contrast.
        spine: Middle of the spine in each slice, in blocks `(h, w)`, `(d, 2)`.
    """

    view: Overview
    sharp: np.ndarray
    calm: np.ndarray
    spine: np.ndarray


def find_kidneys(view: Overview) -> Organ:
    """Find both kidneys.

    One alone is not trusted: a bowel loop or a muscle may look like a kidney, hardly two.

    Arguments:
        view: The scan from afar.

    Raises:
        InputError: `insert.organ`.
    """
    around = Surroundings(view, view.smooth(1.5), view.smooth(4.0), _spine(view))
    rights = list(_candidates(around, -1))
    require("a right kidney in fat beside the spine", "a number of places", len(rights), 1)
    lefts = list(_candidates(around, 1))
    require("a left kidney in fat beside the spine", "a number of places", len(lefts), 1)
    right, left = max(product(rights, lefts), key=lambda pair: _trust(*pair))
    require("two kidneys that mirror each other", "a trust", _trust(right, left), PAIR)
    evidence = {f"right_{name}": value for name, value in right.evidence.items()}
    evidence |= {f"left_{name}": value for name, value in left.evidence.items()}
    mask = right.mask | left.mask
    return Organ(mask, float(np.median(view.smooth(2.0)[mask])), evidence)


def _trust(right: Kidney, left: Kidney) -> float:
    """How sure it is that both are kidneys; below 0 where they differ too much."""
    enhanced = min(right.place["hu"], left.place["hu"]) >= CONTRAST_HU
    most = ALIKE | {"hu": ALIKE_ENHANCED_HU} if enhanced else ALIKE
    unlike = max(abs(right.place[name] - left.place[name]) / most[name] for name in most)
    trust = right.evidence["trust"] + left.evidence["trust"] - UNLIKE * unlike
    return trust if unlike <= 1 else -unlike


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


def _candidates(around: Surroundings, side: int) -> Iterator[Kidney]:
    """What looks like a kidney on one side: -1 the patient's right, 1 the left."""
    fits = [
        fitted(start, lambda one, start=start: _cost(around, one, start), TRIES[0])
        for start in _starts(around, side)
    ]
    fits.sort(key=lambda one: _cost(around, one, one))
    seen: list[np.ndarray] = []
    for fit in fits:
        if len(seen) == REFINED:
            return
        if any(np.linalg.norm(fit.middle - middle) < 20 for middle in seen):
            continue
        seen.append(fit.middle)
        for tries in TRIES[1:]:
            start = fit
            fit = fitted(start, lambda one, start=start: _cost(around, one, start), tries)
        kidney = _kidney(around, fit, side)
        if kidney is not None:
            yield kidney


def _starts(around: Surroundings, side: int) -> Iterator[Ellipsoid]:
    """Ellipsoids beside the spine where there is both fat and tissue."""
    view, spacing = around.view, around.view.spacing
    fat, tissue = _is_fat(around.sharp), (around.sharp > 0) & (around.sharp < 330)
    much_fat = ndimage.gaussian_filter((fat & view.body).astype(np.float32), 15 / spacing)
    much_tissue = ndimage.gaussian_filter((tissue & view.body).astype(np.float32), 12 / spacing)
    heights = np.arange(SHORTEST[0], len(view.hu) * spacing[0] - SHORTEST[0], STEP_MM)
    for height, aside, back in product(heights, ASIDE, BACK):
        row, column = around.spine[int(height / spacing[0])] * spacing[1:]
        middle = np.array([height, row + back, column + side * aside])
        at = tuple(np.clip((middle / spacing).astype(int), 0, np.array(view.hu.shape) - 1))
        if much_fat[at] > 0.1 and much_tissue[at] > 0.3:
            yield Ellipsoid(np.concatenate([middle, np.log(AXES), np.zeros(3)]))


def _is_fat(hu: np.ndarray) -> np.ndarray:
    return (hu > -150) & (hu < -15)


def _density(sharp: np.ndarray, calm: np.ndarray) -> float:
    """HU of what lies inside, given the points there; fat of the sinus does not count."""
    tissue = np.sort(calm[sharp > 5])
    return float(tissue[int(0.6 * len(tissue))]) if 4 * len(tissue) > len(calm) else -1000.0


def _alike(hu: float, sharp: np.ndarray, calm: np.ndarray) -> np.ndarray:
    """How much values are those of a kidney of some density, 0 to 1.

    Without contrast the liver and muscles are but some 20 HU denser than a kidney, which only
    smooth values tell. Those are lower beside fat, hence sharp ones say where fat begins.
    """
    if hu < CONTRAST_HU:
        return np.clip((sharp - hu + 38) / 16, 0, 1) * np.clip((hu + 17 - calm) / 8, 0, 1)
    soft = 0.15 * hu
    return np.clip((sharp - 0.5 * hu) / soft, 0, 1) * np.clip((1.9 * hu - sharp) / soft, 0, 1)


def _seen(around: Surroundings, one: Ellipsoid) -> tuple[float, np.ndarray, np.ndarray]:
    """HU inside, and of each point how much it is alike and its sharp HU."""
    sharp, calm = one.sample((around.sharp, around.calm), around.view.spacing)
    inner = slice(0, 2 * DIRECTIONS)
    hu = _density(sharp[inner], calm[inner])
    return hu, _alike(hu, sharp, calm), sharp


def _cost(around: Surroundings, one: Ellipsoid, start: Ellipsoid) -> float:
    """How little an ellipsoid is filled with what is not around it; out of limits it is more."""
    hu, alike, _ = _seen(around, one)
    over = np.log(one.axes / LONGEST).clip(0).sum() + np.log(SHORTEST / one.axes).clip(0).sum()
    over += max(0.3 - np.log(one.axes[0] / np.sqrt(one.axes[1] * one.axes[2])), 0)
    over += max(float(np.linalg.norm(one.values[6:])) - 0.8, 0)
    over += max(float(np.linalg.norm(one.middle - start.middle)) - 35, 0) / 10
    over += 0.0 if 4 <= hu <= 290 else 0.2
    return float(alike[INSIDE:].mean() - alike[:INSIDE].mean() + 3 * over)


def _kidney(around: Surroundings, one: Ellipsoid, side: int) -> Kidney | None:
    """What lies in an ellipsoid, None where it is no kidney."""
    view, spacing = around.view, around.view.spacing
    reach = one.axes[0] + 4
    ends = one.middle[0] - reach, one.middle[0] + reach - spacing[0] * (len(view.hu) - 1)
    if ends[0] < 0 or ends[1] > 0:
        return None
    slab = around.spine[round(float(one.middle[0] / spacing[0]))] * spacing[1:]
    place = {
        "hu": _seen(around, one)[0],
        "height": float(one.middle[0]),
        "aside": float(side * (one.middle[2] - slab[1])),
        "back": float(one.middle[1] - slab[0]),
    }
    if not all(low <= place[name] <= high for name, (low, high) in PLACES.items()):
        return None
    mask = _grown(around, one)
    evidence = _measured(around, one, mask)
    if not all(low <= evidence[name] <= high for name, (low, high) in LIMITS.items()):
        return None
    return Kidney(mask, place, {name: round(value, 3) for name, value in evidence.items()})


def _grown(around: Surroundings, one: Ellipsoid) -> np.ndarray:
    """Blocks of the kidney that an ellipsoid was fitted to, without vessels, with its sinus."""
    spacing, whole = around.view.spacing, np.zeros(around.sharp.shape, bool)
    part = one.box(whole.shape, spacing, BEYOND_MM + 2 * SINUS_MM)
    room = one.mask(part, spacing, BEYOND_MM) & around.view.body[part]
    hu = _seen(around, one)[0]
    alike = room & (_alike(hu, around.sharp[part], around.calm[part]) > 0.5)
    core = largest(eroded(alike, spacing, OPENED_MM))
    mine = dilated(core, spacing, OPENED_MM + 0.5) & alike
    whole[part] = mine | (eroded(dilated(mine, spacing, SINUS_MM), spacing, SINUS_MM) & room)
    return whole


def _measured(around: Surroundings, one: Ellipsoid, mask: np.ndarray) -> dict[str, float]:
    """What tells a kidney from bowel, muscles and other organs.

    `score`: what is alike inside less what is alike outside. `in_fat`, `bone`, `gas`: what the
    points outside lie in, gas also inside. `goes_on`: what is alike beyond an end along the body,
    as of a muscle or a bowel. `trust`: these together. `filled`: share of the ellipsoid in the
    mask.
    """
    hu, alike, sharp = _seen(around, one)
    outer = alike[INSIDE:].reshape(len(OUTER), DIRECTIONS).mean(0)
    ends = [float(outer[sign * SPHERE[:, 0] > 0.75].mean()) for sign in (-1, 1)]
    part = one.box(mask.shape, around.view.spacing, 0.0)
    full = one.mask(part, around.view.spacing, 0.0)
    found = {
        "score": float(alike[:INSIDE].mean() - alike[INSIDE:].mean()),
        "in_fat": float(_is_fat(sharp[INSIDE:]).mean()),
        "bone": float((sharp[INSIDE:] > max(220.0, hu)).mean()),
        "gas": float((sharp < -200).mean()),
        "goes_on": max(ends),
        "filled": float((mask[part] & full).sum() / full.sum()),
        "volume_ml": float(mask.sum()) * around.view.voxel_ml,
        "hu": hu,
    }
    # Muscles of the pelvis lie in fat, too, and beside bone: near a kidney is a rib or two.
    trust = found["score"] + found["in_fat"] - found["goes_on"] - BONE * found["bone"]
    return found | {"trust": trust}
