"""One phantom: a patient drawn, painted, given lesions and scanned."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ctscreener.scan import Scan
from training.phantoms.abdomen import paint_abdomen
from training.phantoms.body import Surfaces, make_surfaces, paint_body
from training.phantoms.bowel import paint_bowel
from training.phantoms.canvas import Canvas
from training.phantoms.lesions import FAMILIES, Family, add_lesions
from training.phantoms.patient import Patient, Region, draw_patient
from training.phantoms.pelvis import paint_pelvis
from training.phantoms.scanner import expose, paint_table
from training.phantoms.skeleton import paint_ribs, paint_shoulders, paint_spine, paint_sternum
from training.phantoms.thorax import paint_thorax

AddLesions = Callable[
    [Canvas, Patient, Surfaces, np.random.Generator], tuple[np.ndarray, list[dict]]
]


@dataclass(frozen=True)
class Phantom:
    """A scan that no patient ever had, and what is in it.

    Arguments:
        scan: HU on its grid; axes run to superior, posterior and left.
        lesions: Family of the lesion at each voxel, 0 for none, uint8, `(D, H, W)`.
        organ: Tissue painted before the lesions, uint8, `(D, H, W)`; see the `paint` modules.
        description: What was drawn, in plain types.
    """

    scan: Scan
    lesions: np.ndarray
    organ: np.ndarray = field(repr=False)
    description: dict


def _half_width(patient: Patient) -> tuple[float, float, float]:
    """Reach of the body to the sides, to the front and to the back, mm of the standard body."""
    side = 172.0 + 1.15 * patient.fat + (52 if patient.arms == "beside" else 0)
    if patient.high > 150:
        side = max(side, 192 + patient.fat * 0.7)
    if patient.low < -250:
        side = max(side, 176 + 1.8 * patient.fat)
    front = 118 + 1.6 * patient.fat + 11 * patient.visceral + (16 if patient.female else 0)
    back = 128 + patient.fat
    return side + 8, front + 6, back + 26


def make_canvas(patient: Patient, rng: np.random.Generator) -> Canvas:
    """Lay the grid around the part of the body that is scanned.

    Arguments:
        patient: Gives extent, spacing and position.
        rng: Draws the warp.

    Returns:
        An empty canvas.
    """
    side, front, back = _half_width(patient)
    side *= 1 - 2 * patient.crop
    scale = np.array(patient.scale)
    spacing = np.array(patient.spacing)
    low = np.array([patient.low, -front, -side]) * scale
    high = np.array([patient.high, back, side]) * scale
    size = np.ceil((high - low) / spacing).astype(int)
    turn = np.eye(3)
    for axis, degrees in enumerate(patient.tilt):
        a, b = [i for i in range(3) if i != axis]
        angle = np.radians(degrees)
        step = np.eye(3)
        step[a, a] = step[b, b] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    middle = (low + high) / 2
    matrix = turn @ np.diag(spacing)
    offset = middle + rng.normal(0, [0, 4, 6]) - matrix @ ((size - 1) / 2)
    to_body = np.column_stack([matrix, offset]) / scale[:, None]
    shape = (int(size[0]), int(size[1]), int(size[2]))
    return Canvas(shape, spacing, to_body, rng)


def _affine(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Axes run to superior, posterior and left; the origin is where the scanner put it."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = canvas.spacing * [1, -1, -1]
    size = np.array(canvas.shape) * canvas.spacing
    affine[:3, 3] = np.round([size[2] / 2, size[1] / 2, rng.uniform(-900, 300)], 1)
    affine[3, 3] = 1
    return affine


def paint_anatomy(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    """Paint everything that every body has, from the outside inwards.

    Arguments:
        canvas: What is painted on.
        patient: Gives the build.
        surfaces: From `make_surfaces`.
        rng: Draws the details.
    """
    paint_body(canvas, patient, surfaces, rng)
    paint_thorax(canvas, patient, surfaces, rng)
    if patient.low < 30:
        paint_abdomen(canvas, patient, surfaces, rng)
    paint_spine(canvas, patient, rng)
    if patient.low < -190:
        paint_pelvis(canvas, patient, rng)
    paint_ribs(canvas, patient, surfaces, rng)
    paint_sternum(canvas, patient, surfaces)
    if patient.high > 40:
        paint_shoulders(canvas, patient, surfaces)
    if patient.low < 30:
        paint_bowel(canvas, patient, surfaces, rng)


def make_phantom(
    rng: np.random.Generator,
    region: Region = "mixed",
    family: Family = "mixed",
    prevalence: float = 0.1,
    coarsen: float = 1.0,
) -> Phantom:
    """Make one phantom; the same generator state gives the same phantom.

    Arguments:
        rng: Where the randomness comes from.
        region: Part of the body; a family that is not in it widens it.
        family: Kind of the lesions.
        prevalence: Chance of lesions where the family is `mixed`.
        coarsen: Voxel size relative to the usual one.

    Returns:
        The phantom.
    """
    patient = draw_patient(rng, fitting_region(region, family))
    depth, height, width = patient.spacing
    spacing = (depth * coarsen, height * coarsen, width * coarsen)
    patient = replace(patient, spacing=spacing)
    return image_patient(patient, partial(add_lesions, family=family, prevalence=prevalence), rng)


def image_patient(patient: Patient, add: AddLesions, rng: np.random.Generator) -> Phantom:
    """Paint a patient, add lesions, and take the scan.

    Arguments:
        patient: Who, and how scanned.
        add: Paints lesions and returns their mask and a list of what they are.
        rng: Draws all details.

    Returns:
        The phantom.
    """
    canvas = make_canvas(patient, rng)
    surfaces = make_surfaces(canvas, patient)
    paint_anatomy(canvas, patient, surfaces, rng)
    organ = canvas.organ.copy()
    lesions, found = add(canvas, patient, surfaces, rng)
    if patient.table:
        paint_table(canvas, rng)
    scan = Scan(expose(canvas, patient, rng), _affine(canvas, rng))
    return Phantom(scan, lesions, organ, _describe(patient, found))


def _describe(patient: Patient, found: list[dict]) -> dict:
    return {
        "phase": patient.phase,
        "heights_mm": [round(patient.low), round(patient.high)],
        "spacing_mm": [round(float(s), 3) for s in patient.spacing],
        "noise_hu": round(patient.noise, 1),
        "kernel_blur_mm": round(patient.blur, 2),
        "fat_mm": round(patient.fat, 1),
        "female": patient.female,
        "age": round(patient.age, 2),
        "arms": patient.arms,
        "lesions": found,
    }


def fitting_region(region: Region, family: Family) -> Region:
    """Return the region in which a family of lesions can lie.

    Example:
        >>> fitting_region("mixed", "liver_tumour")
        'abdomen'
    """
    known = FAMILIES.get(family)
    if known is None or known.region is None or region in (known.region, "torso"):
        return region
    return known.region
