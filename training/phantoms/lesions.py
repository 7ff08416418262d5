"""Which lesions a phantom gets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.phantoms.body import Surfaces
from training.phantoms.canvas import Canvas
from training.phantoms.lung_lesions import add_nodule, add_opacity
from training.phantoms.other_lesions import add_other
from training.phantoms.patient import Patient
from training.phantoms.tumours import add_kidney_tumour, add_liver_tumour

Family = Literal["mixed", "lung_nodule", "lung_opacity", "kidney_tumour", "liver_tumour", "none"]
"""What a phantom may be asked for; `mixed` draws from `FAMILIES`."""

Add = Callable[[Canvas, Patient, Surfaces, np.ndarray, np.random.Generator], int]
"""Paints one lesion, marks it in the mask, and gives its voxels; 0 where there was no room."""


@dataclass(frozen=True)
class LesionFamily:
    """What is known of a kind of lesions.

    Arguments:
        add: Paints one.
        region: Part of the body that it lies in; None for any.
        alone: Chance that a phantom of this family has just one.
    """

    add: Add
    region: Literal["chest", "abdomen"] | None = None
    alone: float = 0.0


FAMILIES: Mapping[str, LesionFamily] = {
    "lung_nodule": LesionFamily(
        lambda canvas, _patient, _surfaces, mask, rng: add_nodule(canvas, mask, rng), "chest"
    ),
    "lung_opacity": LesionFamily(
        lambda canvas, _patient, _surfaces, mask, rng: add_opacity(canvas, mask, rng), "chest"
    ),
    "kidney_tumour": LesionFamily(
        lambda canvas, patient, _surfaces, mask, rng: add_kidney_tumour(
            canvas, patient, mask, rng
        ),
        "abdomen",
        alone=0.7,
    ),
    "liver_tumour": LesionFamily(
        lambda canvas, patient, _surfaces, mask, rng: add_liver_tumour(canvas, patient, mask, rng),
        "abdomen",
    ),
    "other": LesionFamily(add_other),
}
"""All families of phantoms, in the order of their labels; others are put into scans alone."""


def add_lesions(
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    rng: np.random.Generator,
    family: Family,
    prevalence: float,
) -> tuple[np.ndarray, list[dict]]:
    """Add what the family asks for.

    Arguments:
        canvas: What is painted on.
        patient: Gives the contrast phase.
        surfaces: Chest wall and diaphragm.
        rng: Draws number, kind, place and look.
        family: Kind of lesions; `mixed` draws any, in a share of the phantoms.
        prevalence: That share.

    Returns:
        The mask, uint8, `(D, H, W)`, and a list of `{"family", "volume_ml"}`.
    """
    mask = np.zeros(canvas.shape, np.uint8)
    found: list[dict] = []
    if family == "none" or (family == "mixed" and rng.random() >= prevalence):
        return mask, found
    alone = 0.0 if family == "mixed" else FAMILIES[family].alone
    wanted = 1 if alone and rng.random() < alone else int(rng.integers(1, 5))
    voxel_ml = float(np.prod(canvas.spacing)) / 1000
    for _ in range(30):
        if len(found) == wanted:
            break
        name = str(rng.choice(list(FAMILIES))) if family == "mixed" else family
        marked = FAMILIES[name].add(canvas, patient, surfaces, mask, rng)
        if marked:
            found.append({"family": name, "volume_ml": round(marked * voxel_ml, 3)})
    return mask, found
