"""Masses of the lung: large, dense, often grown onto the mediastinum or the chest wall."""

import numpy as np
from scipy import ndimage

from training.phantoms.canvas import Canvas
from training.phantoms.lesion_site import LABELS, Site, deep_inside, pick
from training.phantoms.lung_lesions import spikes
from training.phantoms.organs import LUNG

SMALLEST_MM, LARGEST_MM = 10.0, 40.0
"""Radii; what is smaller is a nodule."""


def add_lung_mass(canvas: Canvas, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Add a solid mass of 2 to 8 cm: lobulated or spiculated, with necrosis, cavity or calcium.

    More than half touch what is no lung. Only lung is replaced, so that such a mass goes over into
    mediastinum or chest wall without a border, as real ones do.

    Arguments:
        canvas: What is painted on.
        mask: Labels, changed in place.
        rng: Draws the mass.

    Returns:
        Voxels marked; 0 where no lung is in the volume.
    """
    radius = float(np.clip(rng.lognormal(np.log(17), 0.45), SMALLEST_MM, LARGEST_MM))
    middle = pick(canvas, _places(canvas, radius, attached=rng.random() < 0.6), rng)
    if middle is None:
        return 0
    site = Site(canvas, middle, radius * 1.8 + 4)
    lumps = site.noise(rng, radius * 0.8) + 0.4 * site.noise(rng, max(radius * 0.35, 5.0))
    d = site.r - radius * (1 + rng.uniform(0.08, 0.28) * lumps)
    lung = ndimage.gaussian_filter(site.is_organ(LUNG).astype(np.float32), 0.4)
    lung = np.clip(lung * 1.6, 0, 1)
    if rng.random() < 0.25:
        _add_halo(site, d, lung, rng)
    weight = canvas.weight(d) * lung
    if rng.random() < 0.4:
        weight = np.maximum(weight, spikes(site, 0.8 * radius, rng) * lung)
    grain = rng.uniform(4, 18) * site.noise(rng, rng.uniform(4, 10))
    canvas.blend(site.box, weight, rng.uniform(5, 85) + grain)
    _add_core(site, d, weight, radius, rng)
    return site.mark(mask, weight, LABELS["lung_mass"])


def _places(canvas: Canvas, radius: float, attached: bool) -> np.ndarray:
    """Lung near what is none, or far from it; all lung where there is none of the kind."""
    lung = canvas.organ == LUNG
    deep = deep_inside(canvas, LUNG, 0.7 * radius)
    wanted = lung & ~deep if attached else deep
    return wanted if wanted.any() else lung


def _add_halo(site: Site, d: np.ndarray, lung: np.ndarray, rng: np.random.Generator) -> None:
    """Ground glass around a mass; what is denser stays."""
    width = rng.uniform(4, 10)
    share = site.canvas.weight(d - width, soft=width) * lung
    before = site.canvas.hu[site.box].copy()
    veil = rng.uniform(-750, -500) + 40 * site.noise(rng, 8.0)
    site.canvas.blend(site.box, share, np.maximum(before, veil))


def _add_core(
    site: Site, d: np.ndarray, weight: np.ndarray, radius: float, rng: np.random.Generator
) -> None:
    """Necrosis, a cavity or calcium in a mass; in half of them none."""
    look = rng.choice(["plain", "necrosis", "cavity", "calcium"], p=[0.5, 0.32, 0.1, 0.08])
    depth = radius * rng.uniform(0.25, 0.6)
    core = site.canvas.weight(d + depth + 0.2 * radius * site.noise(rng, radius * 0.5), 3) * weight
    if look == "necrosis":
        level = site.canvas.hu[site.box] - rng.uniform(12, 45)
        site.canvas.blend(site.box, core, level)
    elif look == "cavity":
        site.canvas.blend(site.box, core, rng.uniform(-1000, -900))
    elif look == "calcium":
        specks = (site.noise(rng, 5.0) > 1.0) * core
        site.canvas.blend(site.box, specks, rng.uniform(150, 600))
