"""Lung nodules and lung opacities."""

import numpy as np
from scipy import ndimage

from training.phantoms.canvas import Canvas
from training.phantoms.lesion_site import LABELS, Site, deep_inside, pick
from training.phantoms.organs import LUNG


def add_nodule(
    canvas: Canvas,
    mask: np.ndarray,
    rng: np.random.Generator,
    radius: float | None = None,
    solid: bool = False,
) -> int:
    """Add a lung nodule of 5 to 30 mm: solid or not, smooth, lobulated or spiculated.

    Arguments:
        canvas: What is painted on.
        mask: Labels, changed in place.
        rng: Draws the nodule.
        radius: Size in mm; drawn where None.
        solid: Make it solid, rather than of a kind drawn at random.

    Returns:
        Voxels marked; 0 where no lung is in the volume.
    """
    radius = radius or float(np.clip(rng.lognormal(np.log(6), 0.5), 2.6, 15))
    attached = rng.random() < 0.25
    middle = pick(canvas, deep_inside(canvas, LUNG, 2.0 if attached else 0.8 * radius + 2), rng)
    if middle is None:
        return 0
    site = Site(canvas, middle, radius * 2.6 + 4)
    shape = rng.choice(["smooth", "lobulated", "spiculated"])
    rough = {"smooth": 0.06, "lobulated": 0.22, "spiculated": 0.12}[str(shape)]
    d = site.r - radius * (1 + rough * site.noise(rng, max(radius * 0.9, 4.0)))
    kind = rng.choice(["solid", "part", "subsolid"], p=[1, 0, 0] if solid else [0.6, 0.2, 0.2])
    value = {"solid": rng.uniform(0, 70), "part": rng.uniform(-550, -350)}.get(
        str(kind), rng.uniform(-650, -450)
    )
    lung = ndimage.gaussian_filter(site.is_organ(LUNG).astype(np.float32), 0.4)
    soft = 1.0 if kind == "solid" else 2.5
    weight = canvas.weight(d, soft) * np.clip(lung * 1.6, 0, 1)
    if shape == "spiculated":
        weight = np.maximum(weight, spikes(site, radius, rng) * lung)
    before = canvas.hu[site.box].copy()
    canvas.blend(site.box, weight, np.maximum(before, value + 12 * site.noise(rng, 4.0)))
    if kind == "part":
        core = canvas.weight(d + radius * rng.uniform(0.35, 0.6)) * weight
        canvas.blend(site.box, core, rng.uniform(-20, 50))
    if kind == "solid" and rng.random() < 0.12:
        canvas.blend(site.box, canvas.weight(site.r - 0.5 * radius), rng.uniform(200, 700))
    return site.mark(mask, weight, LABELS["lung_nodule"])


def spikes(site: Site, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Draw strands that run out from a nodule: their share of each voxel.

    Arguments:
        site: Where the nodule lies.
        radius: Of the nodule, in mm.
        rng: Draws them.
    """
    weight = np.zeros_like(site.r)
    for _ in range(int(rng.integers(6, 14))):
        way = rng.standard_normal(3)
        way /= np.linalg.norm(way)
        along = sum(a * w for a, w in zip(site.offset, way, strict=True))
        across = np.sqrt(np.maximum(site.r**2 - along**2, 0))
        reach = radius * rng.uniform(1.4, 2.2)
        thin = 1.1 * np.clip(1 - along / reach, 0, 1)
        weight = np.maximum(
            weight, site.canvas.weight(across - thin) * (along > 0) * (along < reach)
        )
    return 0.8 * weight


def add_opacity(canvas: Canvas, mask: np.ndarray, rng: np.random.Generator) -> int:
    """Add patchy pneumonia: ground glass to consolidation, mostly basal and peripheral.

    Arguments:
        canvas: What is painted on.
        mask: Labels, changed in place.
        rng: Draws the patches.

    Returns:
        Voxels marked; 0 where no lung is in the volume.
    """
    lung = canvas.organ == LUNG
    low = lung & (canvas.full.y > rng.uniform(-20, 40)) & (canvas.full.z < rng.uniform(20, 140))
    marked = 0
    dense = rng.uniform(0, 1)
    for _ in range(int(rng.integers(1, 5))):
        middle = pick(canvas, low if low.any() else lung, rng)
        if middle is None:
            return marked
        radius = float(rng.uniform(14, 46))
        site = Site(canvas, middle, radius * 1.7)
        rough = 0.30 * site.noise(rng, radius * 0.6) + 0.16 * site.noise(rng, 9.0)
        inside = np.clip((1 + rough - site.r / radius) / 0.35 + 0.5, 0, 1)
        weight = inside * site.is_organ(LUNG) * np.clip(0.85 + 0.25 * site.noise(rng, 8.0), 0, 1)
        value = -620 + 640 * np.clip(dense + 0.3 * site.noise(rng, 16.0), 0, 1) ** 1.5
        before = canvas.hu[site.box].copy()
        # Vessels stay as dense as they were; airways are no lung and stay dark.
        canvas.blend(site.box, weight, np.maximum(before, value))
        marked += site.mark(mask, weight, LABELS["lung_opacity"])
    return marked
