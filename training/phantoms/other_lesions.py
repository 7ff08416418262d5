"""Findings of no family: fluid, lymph nodes, bone lesions and other masses."""

from collections.abc import Callable

import numpy as np

from training.phantoms.abdomen import kidney_centre
from training.phantoms.body import Surfaces
from training.phantoms.canvas import Canvas
from training.phantoms.fields import texture
from training.phantoms.lesion_site import LABELS, Site, pick
from training.phantoms.organs import AIR, BONE, FAT, LUNG, MUSCLE, PANCREAS, VESSEL
from training.phantoms.patient import Patient

OTHER = LABELS["other"]


def _effusion(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """Fluid that collects at the back of one pleural space."""
    box = canvas.box((-150, -60, -120), (150, 120, 150))
    if box is None:
        return 0
    p = canvas.full[box]
    sign = rng.choice([-1, 1])
    cage = canvas.lift(surfaces.cage, box)
    depth = rng.uniform(25, 90)
    height = rng.uniform(40, 140)
    front = 92 - depth * np.clip((height - p.z) / 90, 0, 1)
    bend = front - 0.002 * (np.abs(p.x) - 70) ** 2 - p.y
    wanted = canvas.organ[box] == LUNG
    weight = canvas.weight(np.maximum(bend, -cage - 200)) * wanted * (p.x * sign > 0)
    canvas.blend(
        box, weight, rng.uniform(2, 25) + 4 * texture(rng, cage.shape, canvas.spacing, 6.0)
    )
    inside = weight > 0.5
    mask[box][inside] = OTHER
    return int(inside.sum())


def _ascites(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """Fluid between wall and organs of the abdomen."""
    box = canvas.box((-150, -110, -380), (150, 110, 20))
    if box is None:
        return 0
    cage = canvas.lift(surfaces.cage, box)
    below = canvas.lift(surfaces.diaphragm, box)
    fat = (canvas.organ[box] == FAT) & (cage < 0) & (below < -3) & (canvas.hu[box] < -20)
    width = rng.uniform(8, 22) * (1 + 0.3 * texture(rng, cage.shape, canvas.spacing, 40.0))
    weight = np.where(fat, canvas.weight(-cage - width), 0)
    weight = weight * (canvas.full.y[box] < 40)
    canvas.blend(box, weight, rng.uniform(3, 20))
    inside = weight > 0.5
    mask[box][inside] = OTHER
    return int(inside.sum())


def _ball(
    canvas: Canvas,
    mask: np.ndarray,
    middle: np.ndarray | None,
    radius: float,
    value: float,
    rng: np.random.Generator,
    only: int = -1,
) -> int:
    if middle is None:
        return 0
    site = Site(canvas, middle, radius * 1.6)
    d = site.r - radius * (1 + 0.14 * site.noise(rng, max(radius * 0.8, 5)))
    weight = canvas.weight(d, 1.5)
    keep = site.is_organ(only) if only >= 0 else ~site.is_organ(AIR, BONE, VESSEL)
    weight = weight * keep
    canvas.blend(site.box, weight, value + 8 * site.noise(rng, max(radius * 0.4, 4)))
    return site.mark(mask, weight, OTHER)


def _node_mass(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """A conglomerate of lymph nodes in the mediastinum or beside the aorta."""
    z = rng.uniform(patient.low + 20, patient.high - 20)
    chest = z > 10
    y = rng.uniform(-20, 25) if chest else rng.uniform(0, 25)
    marked = 0
    for _ in range(int(rng.integers(2, 6))):
        point = np.array([rng.normal(0, 22), y + rng.normal(0, 8), z + rng.normal(0, 12)])
        voxel = canvas.voxels(point[None])[0]
        if (voxel < 0).any() or (voxel >= np.array(canvas.shape)).any():
            continue
        value = 40.0 if patient.phase == "none" else rng.uniform(60, 95)
        marked += _ball(canvas, mask, voxel, rng.uniform(8, 19), value, rng)
    return marked


def _bone_lesion(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """A lytic or a sclerotic focus."""
    bone = (canvas.organ == BONE) & (canvas.hu > 60) & (canvas.full.y > 20)
    value = rng.uniform(30, 60) if rng.random() < 0.5 else rng.uniform(700, 1000)
    return _ball(canvas, mask, pick(canvas, bone, rng), rng.uniform(5, 14), value, rng, BONE)


def _adrenal_mass(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    x, y, z = kidney_centre(int(rng.choice([-1, 1])))
    voxel = canvas.voxels(np.array([[x * 0.72, y - 10, z + 52]]))[0]
    if (voxel < 0).any() or (voxel >= np.array(canvas.shape)).any():
        return 0
    value = rng.uniform(0, 45) + (0 if patient.phase == "none" else 30)
    return _ball(canvas, mask, voxel, rng.uniform(9, 28), value, rng)


def _pancreas_mass(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    middle = pick(canvas, canvas.organ == PANCREAS, rng)
    value = patient.hu["pancreas"] - rng.uniform(15, 45)
    return _ball(canvas, mask, middle, rng.uniform(8, 22), value, rng)


def _calcified_mass(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """A mass with coarse calcium in muscle or fat."""
    inside = (canvas.organ == FAT) | (canvas.organ == MUSCLE)
    middle = pick(canvas, inside & (canvas.hu > -150), rng)
    if middle is None:
        return 0
    radius = rng.uniform(8, 25)
    marked = _ball(canvas, mask, middle, radius, 45.0, rng)
    site = Site(canvas, middle, radius)
    chalk = np.clip(site.noise(rng, 6.0) - 0.5, 0, 1) * (mask[site.box] == OTHER)
    canvas.blend(site.box, chalk, rng.uniform(300, 900))
    return marked


Maker = Callable[[Canvas, Patient, Surfaces, np.ndarray, np.random.Generator], int]
MAKERS: tuple[Maker, ...] = (
    _effusion, _ascites, _node_mass, _bone_lesion, _adrenal_mass, _pancreas_mass, _calcified_mass,
)  # fmt: skip


def add_other(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """Add one finding of a kind drawn at random.

    Arguments:
        canvas: What is painted on.
        patient: Gives phase and extent.
        surfaces: Chest wall and diaphragm.
        mask: Labels, changed in place.
        rng: Draws kind, place and look.

    Returns:
        Voxels marked; 0 where that kind does not fit into this volume.
    """
    return MAKERS[int(rng.integers(len(MAKERS)))](canvas, patient, surfaces, mask, rng)
