"""What fills a part of the lung from the pleura on: fluid, collapsed lung, thick pleura."""

import numpy as np
from scipy import ndimage

from training.phantoms.canvas import Canvas
from training.phantoms.lesion_site import LABELS, Site, deep_inside, pick
from training.phantoms.organs import LUNG

NEAR_MM = 12.0
"""How far beyond a depth it is looked around for what is no lung."""


def add_pleural_effusion(canvas: Canvas, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Fill the lung from chest wall, diaphragm or mediastinum on, with fluid or airless lung.

    The part is what a large ball, whose middle lies beyond the pleura, covers of the lung: a lens
    whose border to the lung is smooth, and that has none to what it grew from. The other lung
    stays as it is.

    Arguments:
        canvas: What is painted on.
        mask: Labels, changed in place.
        rng: Draws the lesion.

    Returns:
        Voxels marked; 0 where no lung is in the volume.
    """
    depth = float(np.exp(rng.uniform(np.log(7), np.log(50))))
    lung = canvas.organ == LUNG
    edge = deep_inside(canvas, LUNG, 0.7 * depth) & ~deep_inside(canvas, LUNG, 1.2 * depth)
    tip = pick(canvas, edge if edge.any() else lung, rng)
    if tip is None:
        return 0
    outward = _outward(Site(canvas, tip, depth + NEAR_MM))
    radius = depth * rng.uniform(0.8, 1.5) + rng.uniform(8, 30)
    middle = tip + radius * outward / canvas.spacing
    site = Site(canvas, np.clip(middle, 0, np.array(canvas.shape) - 1), 1.3 * radius + 4)
    lumps = site.noise(rng, radius * 0.7) + 0.3 * site.noise(rng, 12.0)
    d = site.r - radius * (1 + rng.uniform(0.01, 0.12) * lumps)
    inside = ndimage.gaussian_filter(site.is_organ(LUNG).astype(np.float32), 0.4)
    side = canvas.full.x[tuple(tip.astype(int))] > 0
    weight = canvas.weight(d) * np.clip(inside * 1.6, 0, 1)
    weight = weight * ((canvas.full.x[site.box] > 0) == side)
    is_fluid = rng.random() < 0.5
    level = rng.uniform(-5, 30) if is_fluid else rng.uniform(25, 95)
    grain = 0.0 if is_fluid else rng.uniform(4, 16)
    canvas.blend(site.box, weight, level + grain * site.noise(rng, rng.uniform(5, 14)))
    return site.mark(mask, weight, LABELS["pleural_effusion"])


def _outward(site: Site) -> np.ndarray:
    """The way out of the lung that is shortest, a unit vector; up where none is near."""
    pull = ~site.is_organ(LUNG) / np.maximum(site.r, 1.0) ** 3
    way = np.array([float((pull * along).sum()) for along in site.offset])
    length = float(np.linalg.norm(way))
    return way / length if length > 0 else np.array([1.0, 0.0, 0.0])
