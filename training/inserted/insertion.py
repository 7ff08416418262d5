"""Lesions painted into a scan, with the scan's own noise and sharpness."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.scan import restore_axes
from training.inserted.host import Host
from training.inserted.scan_canvas import ScanCanvas
from training.phantoms.lesion_site import LABELS
from training.phantoms.lung_lesions import add_nodule, add_opacity
from training.phantoms.organs import LUNG
from training.phantoms.tumours import add_kidney_tumour, add_liver_tumour

TRIES = 30
SOFT_HU, LUNG_HU = 20.0, -850.0
"""Lung without air, and lung full of it."""
STRUCTURE_MM = 4.0
SMALLEST = 8
"""Voxels that a lesion has at least."""
MARKED = {"lung_opacity": 0.2}
"""Share of a voxel from which on it belongs to the lesion, where that is not a half: an opacity
has no edge, and a fifth of it is seen in dark lung."""
SEEN_HU = 10.0
"""A voxel is changed where its mean with its neighbours moved further than this."""
SEEN_SHARE = 0.6
"""Share of a lesion's voxels that are changed at least; a lesion that no one could see is none."""


@dataclass(frozen=True)
class Inserted:
    """A scan with lesions that its patient never had.

    Arguments:
        hu: HU, float32, in the shape of the scan.
        mask: Family of the lesion at each voxel, `LABELS`, 0 for none, uint8.
        lesions: `{"family", "volume_ml"}` of each.
    """

    hu: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)
    lesions: list[dict[str, Any]]


def insert(host: Host, rng: np.random.Generator) -> Inserted:
    """Put lesions into a scan.

    Arguments:
        host: Says where.
        rng: Draws number, place, look and noise; the same state gives the same voxels.

    Returns:
        The scan on its own axes. All voxels but those of the lesions and their blurred edges are
        identical to the input.

    Raises:
        InputError: `insert.place` where none found a place.
    """
    canvas = host.canvas()
    mask = np.zeros(canvas.shape, np.uint8)
    many = host.family in ("lung_nodule", "liver_tumour")
    wanted = int(rng.integers(1, 4)) if many else 1
    voxel_ml = float(np.prod(canvas.spacing)) / 1000
    lesions: list[dict[str, Any]] = []
    for _ in range(TRIES):
        if len(lesions) == wanted:
            break
        marked = _add_one(host, canvas, mask, rng)
        if marked:
            lesions.append({"family": host.family, "volume_ml": round(marked * voxel_ml, 3)})
    if not lesions:
        raise InputError(
            "insert.place",
            f"Expected room for a {host.family}, found none in {TRIES} tries.",
            "Leave the scan out of this family.",
        )
    return _finished(host, canvas, mask, lesions, rng)


def _add_one(host: Host, canvas: ScanCanvas, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Add one lesion, or leave all as it was; return its voxels."""
    before = canvas.hu.copy(), canvas.replaced.copy()
    canvas.replaced[:] = 0
    drawn = np.zeros_like(mask)
    _draw(host, canvas, drawn, rng)
    marked = canvas.replaced > MARKED.get(host.family, 0.5)
    seen = _seen(canvas.hu, before[0], marked)
    if seen and not (mask[canvas.replaced > 0]).any():
        mask[marked] = LABELS[host.family]
        canvas.replaced = 1 - (1 - canvas.replaced) * (1 - before[1])
        return int(marked.sum())
    canvas.hu, canvas.replaced = before
    return 0


def _draw(host: Host, canvas: ScanCanvas, drawn: np.ndarray, rng: np.random.Generator) -> None:
    if host.family == "lung_nodule":
        # Smaller than a slice, it would be a disc.
        low = max(2.6, 0.65 * float(canvas.spacing.max()))
        radius = float(np.clip(rng.lognormal(np.log(6), 0.5), low, 15))
        add_nodule(canvas, drawn, rng, radius=radius)
    elif host.family == "lung_opacity":
        add_opacity(canvas, drawn, rng)
    elif host.family == "kidney_tumour":
        add_kidney_tumour(canvas, host.enhancement, drawn, rng)
    else:
        add_liver_tumour(canvas, host.enhancement, drawn, rng)


def _seen(after: np.ndarray, before: np.ndarray, marked: np.ndarray) -> bool:
    """Whether a lesion is large and different enough from what was there."""
    if marked.sum() < SMALLEST:
        return False
    box = ndimage.find_objects(marked.astype(np.uint8))[0]
    change = ndimage.uniform_filter(after[box] - before[box], 3, mode="nearest")
    return float((np.abs(change[marked[box]]) > SEEN_HU).mean()) >= SEEN_SHARE


def _finished(
    host: Host,
    canvas: ScanCanvas,
    mask: np.ndarray,
    lesions: list[dict[str, Any]],
    rng: np.random.Generator,
) -> Inserted:
    """Give painted voxels the scan's noise, and bring all back onto the scan's axes."""
    touched = canvas.replaced > 0
    box = ndimage.find_objects(touched.astype(np.uint8))[0]
    left, hu = 1 - canvas.replaced[box], host.turned.hu.copy()
    part = hu[host.box][box]
    painted = canvas.hu[box]
    if host.family in ("lung_nodule", "lung_opacity"):
        # Air that is left keeps its vessels and septa: ground glass veils, it does not hide.
        air = canvas.replaced[box] * np.clip((SOFT_HU - painted) / (SOFT_HU - LUNG_HU), 0, 1)
        painted = painted + air * _structure(part, host.organ[box] == LUNG, canvas.spacing)
        left = left + air
    # A voxel that kept a share of its own kept that share of its noise; variances add.
    noise = host.noise.sample(left.shape, rng) * np.sqrt(np.maximum(1 - left**2, 0))
    painted = np.clip(np.round(painted + noise), -1024, 3071)
    part[touched[box]] = painted[touched[box]]
    whole = np.zeros(hu.shape, np.uint8)
    whole[host.box] = mask
    return Inserted(restore_axes(hu, host.scan), restore_axes(whole, host.scan), lesions)


def _structure(hu: np.ndarray, lung: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """What in lung differs from the lung around it: vessels, septa, noise; 0 elsewhere."""
    sigma = STRUCTURE_MM / spacing
    weight = ndimage.gaussian_filter(lung.astype(np.float32), sigma, truncate=3.0)
    around = ndimage.gaussian_filter(np.where(lung, hu, 0), sigma, truncate=3.0)
    own = hu - around / np.maximum(weight, 1e-3)
    return np.where(lung, np.clip(own, -200, 400), 0).astype(np.float32)
