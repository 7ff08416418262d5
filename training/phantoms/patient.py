"""Who lies in the scanner and how they are scanned: everything drawn once a phantom."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Phase = Literal["none", "arterial", "portal"]
Region = Literal["mixed", "chest", "abdomen", "torso"]

TISSUES: dict[Phase, dict[str, tuple[float, float]]] = {
    "none": {
        "artery": (42, 4), "vein": (40, 4), "lung_vessel": (40, 4), "liver": (57, 7),
        "spleen": (48, 4), "cortex": (33, 3), "medulla": (30, 3), "pancreas": (38, 6),
        "wall": (42, 4), "heart_muscle": (46, 4), "muscle": (52, 5), "portal": (40, 3),
    },
    "arterial": {
        "artery": (290, 50), "vein": (75, 25), "lung_vessel": (210, 60), "liver": (68, 7),
        "spleen": (115, 15), "cortex": (165, 22), "medulla": (62, 12), "pancreas": (95, 12),
        "wall": (75, 10), "heart_muscle": (95, 12), "muscle": (58, 5), "portal": (85, 25),
    },
    "portal": {
        "artery": (155, 18), "vein": (150, 18), "lung_vessel": (145, 18), "liver": (108, 11),
        "spleen": (118, 10), "cortex": (175, 18), "medulla": (140, 18), "pancreas": (85, 10),
        "wall": (85, 10), "heart_muscle": (98, 9), "muscle": (62, 5), "portal": (170, 15),
    },
}  # fmt: skip
"""Mean HU and its spread over patients, by contrast phase."""


@dataclass(frozen=True)
class Patient:
    """One body and one acquisition.

    Arguments:
        phase: When after the contrast medium the scan was taken.
        hu: HU of each enhancing tissue.
        fat: Thickness of the fat under the skin over the ribs, mm.
        visceral: 0 lean to 1 much fat around the organs.
        female: Wider hips and breasts.
        scale: Size of the body relative to the standard along `(z, y, x)`.
        squareness: Exponent of the cross-section, 2 an ellipse.
        breath: Lift of the diaphragm in mm, negative after breathing in deeply.
        age: 0 young to 1 old: bone density, calcium, muscle fat.
        arms: Where the arms are.
        tilt: Rotation about `(z, y, x)` in degrees.
        low: Lowest height scanned, mm of the standard body.
        high: Highest height scanned, mm of the standard body.
        spacing: Voxel size along `(D, H, W)`, mm.
        table: Whether the table is in the picture.
        crop: Part of the body's width cut off by the field of view, 0 for none.
        blur: Kernel: standard deviation in mm of the smoothing; negative sharpens.
        noise: Standard deviation of the noise in HU.
    """

    phase: Phase
    hu: dict[str, float]
    fat: float
    visceral: float
    female: bool
    scale: tuple[float, float, float]
    squareness: float
    breath: float
    age: float
    arms: Literal["raised", "beside"]
    tilt: tuple[float, float, float]
    low: float
    high: float
    spacing: tuple[float, float, float]
    table: bool
    crop: float
    blur: float
    noise: float


def _extent(rng: np.random.Generator, region: Region) -> tuple[float, float]:
    if region == "mixed":
        region = rng.choice(["chest", "chest", "abdomen", "abdomen", "torso"])
    if region == "chest":
        return rng.uniform(-110, -60), rng.uniform(195, 225)
    if region == "abdomen":
        if rng.random() < 0.35:
            return rng.uniform(-230, -180), rng.uniform(5, 45)
        return rng.uniform(-400, -330), rng.uniform(5, 45)
    if rng.random() < 0.5:
        return rng.uniform(-220, -180), rng.uniform(190, 220)
    return rng.uniform(-400, -360), rng.uniform(190, 220)


def _spacing(rng: np.random.Generator, length: float) -> tuple[float, float, float]:
    plane = round(float(rng.uniform(1.3, 1.9)), 2)
    slices = float(rng.choice([1.5, 2.0, 2.0, 2.5, 2.5, 3.0, 3.0, 5.0]))
    # Long scans with thin slices would take too long to build.
    slices = max(slices, round(length / 190 * (1.5 / plane) ** 2, 1))
    return slices, plane, plane


def _fat(rng: np.random.Generator) -> float:
    return float(np.clip(rng.lognormal(np.log(11), 0.6), 2.5, 42))


def draw_patient(rng: np.random.Generator, region: Region = "mixed") -> Patient:
    """Draw a patient and an acquisition.

    Arguments:
        rng: Where the randomness comes from.
        region: Part of the body that is scanned; `mixed` draws it.

    Returns:
        The patient.
    """
    phases: list[Phase] = ["none", "arterial", "portal"]
    phase = phases[int(rng.choice(3, p=[0.35, 0.2, 0.45]))]
    hu = {k: float(rng.normal(*v)) for k, v in TISSUES[phase].items()}
    hu["liver"] -= float(rng.choice([0, 0, 0, 0, 25]))  # fatty liver
    low, high = _extent(rng, region)
    fat = _fat(rng)
    female = bool(rng.random() < 0.5)
    size = rng.normal(0.95 if female else 1.03, 0.045)
    scale = tuple(float(size * rng.normal(1, 0.035)) for _ in range(3))
    return Patient(
        phase=phase,
        hu=hu,
        fat=fat,
        visceral=float(np.clip(fat / 30 + rng.normal(0.15, 0.25), 0.05, 1)),
        female=female,
        scale=(scale[0], scale[1], scale[2]),
        squareness=float(rng.uniform(2.0, 2.4)),
        breath=float(rng.normal(0, 12)),
        age=float(rng.beta(2, 1.5)),
        arms="beside" if rng.random() < 0.12 else "raised",
        tilt=(float(rng.normal(0, 2.5)), float(rng.normal(0, 1.5)), float(rng.normal(0, 2))),
        low=low,
        high=high,
        spacing=_spacing(rng, high - low),
        table=bool(rng.random() < 0.8),
        crop=float(rng.uniform(0.02, 0.14)) if rng.random() < 0.15 else 0.0,
        blur=float(rng.choice([0.9, 0.6, 0.6, 0.3, -0.5, -0.9]) * rng.uniform(0.7, 1.2)),
        noise=float(np.clip(rng.lognormal(np.log(17), 0.5), 8, 60)),
    )
