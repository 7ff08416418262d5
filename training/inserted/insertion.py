"""Lesions painted into a scan, with the scan's own noise and sharpness."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.scan import restore_axes
from training.inserted.host import Host, InsertedFamily
from training.inserted.scan_canvas import ScanCanvas
from training.phantoms.lesion_site import LABELS
from training.phantoms.lung_lesions import add_nodule, add_opacity
from training.phantoms.lung_mass import add_lung_mass
from training.phantoms.organs import LUNG
from training.phantoms.pleural_lesions import add_pleural_effusion
from training.phantoms.tumours import add_kidney_tumour, add_liver_tumour

TRIES = 30
SOFT_HU, LUNG_HU = 20.0, -850.0
"""Lung without air, and lung full of it."""
STRUCTURE_MM = 4.0
SMALLEST = 8
"""Voxels that a lesion has at least."""
SEEN_HU = 10.0
"""A voxel is changed where its mean with its neighbours moved further than this."""
SEEN_SHARE = 0.6
"""Share of a lesion's voxels that are changed at least; a lesion that no one could see is none."""


def _draw_nodule(
    host: Host, canvas: ScanCanvas, drawn: np.ndarray, rng: np.random.Generator
) -> None:
    # Smaller than a slice, it would be a disc.
    low = max(2.6, 0.65 * float(canvas.spacing.max()))
    radius = float(np.clip(rng.lognormal(np.log(6), 0.5), low, 15))
    add_nodule(canvas, drawn, rng, radius=radius)


@dataclass(frozen=True)
class Kind:
    """How lesions of a family are put into a scan.

    Arguments:
        draw: Paints one.
        most: How many a scan gets at most.
        edge: Share of a voxel from which on it belongs to the lesion.
        airy: Air that is left in it keeps its vessels and septa.
    """

    draw: Callable[[Host, ScanCanvas, np.ndarray, np.random.Generator], object]
    most: int = 1
    edge: float = 0.5
    airy: bool = False


KINDS: Mapping[InsertedFamily, Kind] = {
    "lung_nodule": Kind(_draw_nodule, most=3, airy=True),
    # It has no edge, and a fifth of it is seen in dark lung.
    "lung_opacity": Kind(
        lambda _host, canvas, drawn, rng: add_opacity(canvas, drawn, rng), edge=0.2, airy=True
    ),
    "kidney_tumour": Kind(
        lambda host, canvas, drawn, rng: add_kidney_tumour(canvas, host.enhancement, drawn, rng)
    ),
    "liver_tumour": Kind(
        lambda host, canvas, drawn, rng: add_liver_tumour(canvas, host.enhancement, drawn, rng),
        most=3,
    ),
    "lung_mass": Kind(lambda _host, canvas, drawn, rng: add_lung_mass(canvas, drawn, rng)),
    "pleural_effusion": Kind(
        lambda _host, canvas, drawn, rng: add_pleural_effusion(canvas, drawn, rng)
    ),
}


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
    most = KINDS[host.family].most
    wanted = int(rng.integers(1, most + 1)) if most > 1 else 1
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
    kind = KINDS[host.family]
    kind.draw(host, canvas, drawn, rng)
    marked = canvas.replaced > kind.edge
    seen = _seen(canvas.hu, before[0], marked)
    if seen and not (mask[canvas.replaced > 0]).any():
        mask[marked] = LABELS[host.family]
        canvas.replaced = 1 - (1 - canvas.replaced) * (1 - before[1])
        return int(marked.sum())
    canvas.hu, canvas.replaced = before
    return 0


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
    if KINDS[host.family].airy:
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
