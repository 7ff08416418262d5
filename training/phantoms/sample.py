"""The sample scan of the README: one fixed phantom with a nodule and a liver tumour."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ctscreener.whole_file import make_folder
from training.phantoms.body import Surfaces
from training.phantoms.canvas import Canvas
from training.phantoms.lung_lesions import add_nodule
from training.phantoms.patient import TISSUES, Patient, draw_patient
from training.phantoms.phantom import Phantom, image_patient
from training.phantoms.tumours import add_liver_tumour
from training.phantoms.writing import write_volume

SEED = 22

STEP_HU = 3
"""HU are rounded to this step, far below the noise, which halves the file."""


def _sample_patient(rng: np.random.Generator) -> Patient:
    drawn = draw_patient(rng, "torso")
    return replace(
        drawn,
        phase="portal",
        hu={name: mean for name, (mean, _) in TISSUES["portal"].items()},
        fat=14.0,
        visceral=0.45,
        female=False,
        scale=(1.0, 1.0, 1.0),
        squareness=2.2,
        breath=-4.0,
        age=0.5,
        arms="raised",
        low=-205.0,
        high=200.0,
        spacing=(3.0, 1.7, 1.7),
        table=True,
        crop=0.0,
        blur=0.6,
        noise=10.0,
    )


def _two_lesions(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> tuple[np.ndarray, list[dict]]:
    mask = np.zeros(canvas.shape, np.uint8)
    voxel_ml = float(np.prod(canvas.spacing)) / 1000
    marked = {
        "lung_nodule": add_nodule(canvas, mask, rng, radius=9.0, solid=True),
        "liver_tumour": add_liver_tumour(canvas, patient, mask, rng, radius=16.0),
    }
    found = [{"family": k, "volume_ml": round(n * voxel_ml, 3)} for k, n in marked.items()]
    return mask, found


def make_sample() -> Phantom:
    """Make the sample, always the same.

    Returns:
        Chest and upper abdomen, HU rounded to `STEP_HU`.
    """
    rng = np.random.default_rng(SEED)
    phantom = image_patient(_sample_patient(rng), _two_lesions, rng)
    np.copyto(phantom.scan.hu, np.round(phantom.scan.hu / STEP_HU) * STEP_HU)
    np.maximum(phantom.scan.hu, -1000, out=phantom.scan.hu)
    return phantom


def write_sample(folder: Path) -> None:
    """Write `sample_phantom.nrrd` and the mask `sample_phantom_lesion.nrrd`.

    Arguments:
        folder: Where they go; it is made if missing.
    """
    make_folder(folder, private=False)
    phantom = make_sample()
    affine = phantom.scan.affine
    write_volume(folder / "sample_phantom_lesion.nrrd", phantom.lesions, affine, private=False)
    hu = phantom.scan.hu.astype(np.int16)
    write_volume(folder / "sample_phantom.nrrd", hu, affine, private=False)
