"""Which lesions a phantom gets."""

from typing import Literal

import numpy as np

from training.phantoms.body import Surfaces
from training.phantoms.canvas import Canvas
from training.phantoms.lesion_site import LABELS
from training.phantoms.lung_lesions import add_nodule, add_opacity
from training.phantoms.other_lesions import add_other
from training.phantoms.patient import Patient
from training.phantoms.tumours import add_kidney_tumour, add_liver_tumour

Family = Literal["mixed", "lung_nodule", "lung_opacity", "kidney_tumour", "liver_tumour", "none"]


def _add_one(
    name: str,
    canvas: Canvas,
    patient: Patient,
    surfaces: Surfaces,
    mask: np.ndarray,
    rng: np.random.Generator,
) -> int:
    if name == "lung_nodule":
        return add_nodule(canvas, mask, rng)
    if name == "lung_opacity":
        return add_opacity(canvas, mask, rng)
    if name == "kidney_tumour":
        return add_kidney_tumour(canvas, patient, mask, rng)
    if name == "liver_tumour":
        return add_liver_tumour(canvas, patient, mask, rng)
    return add_other(canvas, patient, surfaces, mask, rng)


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
    wanted = 1 if family == "kidney_tumour" and rng.random() < 0.7 else int(rng.integers(1, 5))
    voxel_ml = float(np.prod(canvas.spacing)) / 1000
    for _ in range(30):
        if len(found) == wanted:
            break
        name = str(rng.choice(list(LABELS))) if family == "mixed" else family
        marked = _add_one(name, canvas, patient, surfaces, mask, rng)
        if marked:
            found.append({"family": name, "volume_ml": round(marked * voxel_ml, 3)})
    return mask, found
