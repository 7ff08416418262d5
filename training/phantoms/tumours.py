"""Tumours of the kidney and of the liver."""

from typing import Protocol

import numpy as np
from scipy import ndimage

from training.phantoms.abdomen import kidney_centre
from training.phantoms.canvas import Canvas
from training.phantoms.lesion_site import LABELS, Site, deep_inside, pick
from training.phantoms.organs import AIR, BONE, KIDNEY, LIVER, LUNG, MUSCLE, SPLEEN, VESSEL
from training.phantoms.patient import Phase


class Enhanced(Protocol):
    """What a tumour has to know of the contrast medium: the phase, and HU of tissues by name."""

    @property
    def phase(self) -> Phase: ...  # noqa: D102

    @property
    def hu(self) -> dict[str, float]: ...  # noqa: D102


def add_kidney_tumour(
    canvas: Canvas, patient: Enhanced, mask: np.ndarray, rng: np.random.Generator
) -> int:
    """Add a kidney mass of 15 to 80 mm that partly leaves the kidney.

    Arguments:
        canvas: What is painted on.
        patient: Gives the contrast phase and HU.
        mask: Labels, changed in place.
        rng: Draws the mass.

    Returns:
        Voxels marked; 0 where no kidney is in the volume.
    """
    sign = int(rng.choice([-1, 1]))
    kidney = (canvas.organ == KIDNEY) & (canvas.full.x * sign > 0)
    surface = kidney & np.logical_not(ndimage.binary_erosion(kidney, iterations=2))
    kx, _, _ = kidney_centre(sign)
    outward = surface & (canvas.full.x * sign > abs(kx) - 8)
    middle = pick(canvas, outward if outward.any() else kidney, rng)
    if middle is None:
        return 0
    radius = float(np.clip(rng.lognormal(np.log(17), 0.45), 7.5, 40))
    site = Site(canvas, middle, radius * 1.5)
    d = site.r - radius * (1 + 0.09 * site.noise(rng, radius))
    allowed = ~site.is_organ(AIR, MUSCLE, BONE, LUNG, VESSEL, LIVER, SPLEEN)
    weight = canvas.weight(d) * allowed
    offset = {
        "none": rng.uniform(-6, 12),
        "arterial": rng.uniform(-90, 20),
        "portal": rng.uniform(-100, -40),
    }
    value = patient.hu["cortex"] + offset[patient.phase]
    spread = 7 if patient.phase == "none" else 20
    canvas.blend(site.box, weight, value + spread * site.noise(rng, max(radius * 0.4, 5)))
    if radius > 14 and rng.random() < 0.7:
        necrosis = canvas.weight(d + radius * rng.uniform(0.35, 0.7) + 4 * site.noise(rng, 8), 2.5)
        canvas.blend(site.box, necrosis * weight, rng.uniform(8, 30))
    return site.mark(mask, weight, LABELS["kidney_tumour"])


def add_liver_tumour(
    canvas: Canvas,
    patient: Enhanced,
    mask: np.ndarray,
    rng: np.random.Generator,
    radius: float | None = None,
) -> int:
    """Add a liver tumour of 8 to 60 mm, usually darker than the liver by 20 to 60 HU.

    Arguments:
        canvas: What is painted on.
        patient: Gives the contrast phase and HU.
        mask: Labels, changed in place.
        rng: Draws the tumour.
        radius: Size in mm; drawn where None.

    Returns:
        Voxels marked; 0 where no liver is in the volume.
    """
    radius = radius or float(np.clip(rng.lognormal(np.log(11), 0.55), 4, 30))
    middle = pick(canvas, deep_inside(canvas, LIVER, min(radius * 0.7, 12)), rng)
    if middle is None:
        return 0
    site = Site(canvas, middle, radius * 1.5)
    d = site.r - radius * (1 + 0.13 * site.noise(rng, max(radius * 0.8, 5)))
    weight = canvas.weight(d, rng.uniform(1, 4)) * site.is_organ(LIVER)
    bright = patient.phase == "arterial" and rng.random() < 0.5
    contrast = rng.uniform(20, 60) * (1 if bright else -1)
    if patient.phase == "none":
        contrast *= 0.6
    value = patient.hu["liver"] + contrast + 7 * site.noise(rng, max(radius * 0.35, 4))
    canvas.blend(site.box, weight, value)
    if radius > 10 and rng.random() < 0.5:
        canvas.blend(
            site.box, canvas.weight(d + 0.55 * radius, 4) * weight, value - rng.uniform(10, 30)
        )
    if patient.phase != "none" and rng.random() < 0.35:
        rim = canvas.weight(np.abs(d + 1.5) - 1.5) * site.is_organ(LIVER)
        canvas.blend(site.box, 0.7 * rim, patient.hu["liver"] + rng.uniform(20, 50))
    return site.mark(mask, weight, LABELS["liver_tumour"])
