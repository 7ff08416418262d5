"""The wrapping of the body: skin, fat, muscle wall, and the surfaces everything else obeys."""

from dataclasses import dataclass

import numpy as np

from training.phantoms.canvas import Canvas, Place
from training.phantoms.fields import curve, smooth_min, texture
from training.phantoms.organs import FAT, MUSCLE
from training.phantoms.patient import Patient
from training.phantoms.tubes import paint_tubes

CAGE_WIDTH = (
    (260, 40), (225, 44), (205, 54), (190, 72), (165, 103), (130, 124), (80, 138), (20, 143),
    (-40, 142), (-100, 137), (-160, 132), (-220, 128), (-260, 116), (-310, 84), (-350, 56),
    (-390, 34), (-430, 22),
)  # fmt: skip
CAGE_DEPTH = (
    (260, 42), (225, 44), (205, 52), (190, 62), (165, 76), (130, 88), (80, 98), (20, 104),
    (-40, 104), (-100, 100), (-160, 97), (-220, 95), (-260, 93), (-310, 88), (-360, 72),
    (-400, 50), (-430, 30),
)  # fmt: skip
SIDE = (
    (260, 12), (225, 25), (208, 60), (190, 92), (165, 66), (130, 34), (80, 17), (20, 10),
    (-40, 9), (-100, 10), (-160, 12), (-210, 14), (-240, 26), (-280, 50), (-330, 86),
    (-380, 112), (-430, 130),
)  # fmt: skip
FRONT = (
    (260, 8), (205, 8), (180, 14), (130, 17), (80, 12), (20, 7), (-40, 6), (-160, 9),
    (-300, 9), (-350, 14), (-400, 34), (-430, 50),
)  # fmt: skip
BACK = (
    (260, 22), (205, 34), (180, 30), (130, 20), (80, 14), (20, 10), (-100, 8), (-200, 10),
    (-250, 24), (-300, 36), (-350, 44), (-400, 60), (-430, 70),
)  # fmt: skip
SPINE_Y = (
    (260, 16), (220, 20), (195, 28), (150, 46), (90, 60), (30, 60), (-40, 53), (-100, 45),
    (-170, 39), (-225, 42), (-260, 55), (-300, 76), (-340, 88), (-370, 86),
)  # fmt: skip


@dataclass(frozen=True)
class Surfaces:
    """Signed distances in mm on the coarse nodes of the whole canvas, negative inside.

    Arguments:
        skin: The outside of the body.
        muscle: The outside of the muscle wall.
        cage: The inside of the muscle wall and the outside of the ribs.
        diaphragm: Negative below the diaphragm.
    """

    skin: np.ndarray
    muscle: np.ndarray
    cage: np.ndarray
    diaphragm: np.ndarray


def spine_y(z: np.ndarray | float) -> np.ndarray:
    """Return how far back the middle of the vertebral bodies lies, mm, at heights `z`."""
    return curve(np.asarray(z), SPINE_Y)


def _radial(p: Place, patient: Patient) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width, depth = curve(p.z, CAGE_WIDTH), curve(p.z, CAGE_DEPTH)
    n = patient.squareness
    chest = curve(p.z, ((205, 0), (150, 1), (-60, 1), (-140, 0.3), (-330, 0)))
    width = width * (1 + chest * (0.09 * np.clip((p.y - 5) / depth, -1, 0.7)))
    # The back of the chest bulges on both sides of the spine.
    groove = 1 + 0.13 * chest * np.exp(-((p.x / 34) ** 2)) * np.clip(p.y / depth, 0, 1) ** 2
    s = (np.abs(p.x / width) ** n + np.abs(p.y * groove / depth) ** n) ** (1 / n) + 1e-4
    r = np.hypot(p.x, p.y) + 1e-3
    return r - r / s, np.abs(p.x) / r, p.y / r


def _fat_thickness(p: Place, side: np.ndarray, back: np.ndarray, patient: Patient) -> np.ndarray:
    hips = 1.7 if patient.female else 1.1
    low = curve(p.z, ((260, 0.3), (190, 0.6), (100, 0.8), (-60, 1), (-220, 1.2), (-400, hips)))
    belly = curve(p.z, ((40, 0.7), (-40, 0.9), (-180, 1.5), (-300, 1.5), (-400, 1.1)))
    spread = np.where(back > 0, 0.9 * back**2, belly * back**2) + low * side**2
    midline = 1 - 0.35 * np.exp(-((p.x / 25) ** 2)) * (back > 0)
    return patient.fat * spread * midline


def _diaphragm(p: Place, patient: Patient) -> np.ndarray:
    top = np.where(p.x < 0, 4.0, -8.0) + patient.breath
    centre = np.where(p.x < 0, -66.0, 68.0)
    r2 = ((p.x - centre) / 82) ** 2 + ((p.y + 12) / 100) ** 2
    domes = top - 52 * r2**1.25 - 18 * np.clip(p.y / 100, 0, 1) * r2
    saddle = -14 + patient.breath - 0.0035 * p.y**2 - 0.002 * p.x**2
    return smooth_min(-domes, -saddle, 16.0) + p.z


def make_surfaces(canvas: Canvas, patient: Patient) -> Surfaces:
    """Compute the surfaces of this patient.

    Arguments:
        canvas: Gives the coarse coordinates.
        patient: Gives the build.

    Returns:
        The surfaces, on all coarse nodes.
    """
    p = canvas.coarse
    cage, side, back = _radial(p, patient)
    belly = curve(p.z, ((0, 0), (-100, 0.7), (-200, 1), (-280, 0.5), (-340, 0)))
    cage = cage + (16 - 28 * patient.visceral) * belly * (np.clip(-back, 0, 1) ** 2 + 0.15 * side)
    bulk = 0.85 if patient.female else 1.05
    wall = (
        curve(p.z, SIDE) * side**2
        + np.where(back > 0, curve(p.z, BACK), curve(p.z, FRONT)) * back**2
    )
    chest = curve(p.z, ((205, 0), (150, 1), (-60, 1), (-140, 0.3), (-330, 0)))
    gutter = 15 * chest * np.exp(-((p.x / 40) ** 2)) * np.clip(back, 0, 1) ** 2
    muscle = cage - bulk * wall - gutter
    skin = muscle - _fat_thickness(p, side, back, patient)
    if patient.female:
        skin = _breasts(p, skin, patient)
    return Surfaces(skin, muscle, cage, _diaphragm(p, patient))


def _breasts(p: Place, skin: np.ndarray, patient: Patient) -> np.ndarray:
    size = 22 + patient.fat
    ellipsoid = np.sqrt(
        ((np.abs(p.x) - 80) / (45 + patient.fat)) ** 2
        + ((p.y + 88) / (size + 14)) ** 2
        + ((p.z - 62) / 52) ** 2
    )
    return smooth_min(skin, (ellipsoid - 1) * size, 12.0)


def paint_body(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    """Paint skin, fat, muscle wall and the fat of the abdomen; the chest is filled as fat too.

    Arguments:
        canvas: What is painted on.
        patient: Gives the build.
        surfaces: From `make_surfaces`.
        rng: Draws the fine structure of fat and muscle.
    """
    whole = canvas.box_of_everything()
    skin = canvas.lift(surfaces.skin, whole)
    fine = texture(rng, canvas.shape, canvas.spacing, 5.0)
    septa = np.abs(texture(rng, canvas.shape, canvas.spacing, 11.0))
    canvas.paint(whole, skin, 15.0, FAT)
    fat = -104 + 4 * fine + 45 * np.clip(1 - septa / 0.1, 0, 1) * (fine > -0.2)
    canvas.paint(whole, skin + 2.0, fat, FAT)
    if patient.arms == "beside":
        _paint_arms(canvas, patient)
    muscle = canvas.lift(surfaces.muscle, whole) + 0.3 * fine
    cage = canvas.lift(surfaces.cage, whole)
    # Sheets of fat between muscles: where a smooth field crosses zero.
    planes = np.abs(texture(rng, canvas.shape, canvas.spacing * [0.5, 1, 1], 34.0))
    gap = 0.02 + 0.08 * patient.age * (0.4 + patient.visceral)
    lean = np.clip((planes - gap) / 0.10, 0, 1)
    flesh = patient.hu["muscle"] + 4 * fine - 12 * patient.age
    value = flesh - (flesh + 95) * (1 - lean) * np.clip((cage - 4) / 5, 0, 1)
    canvas.paint(whole, muscle, value, MUSCLE)
    inner = -100 + 5 * fine
    neck = np.clip((canvas.full.z - 162) / 14, 0, 1) * np.clip(planes / 0.3 - 0.2, 0, 1)
    canvas.paint(whole, cage, inner + neck * (flesh - inner), FAT)
    sheet = np.maximum(np.abs(canvas.lift(surfaces.diaphragm, whole) - 0.5) - 1.8, cage + 9)
    canvas.paint(whole, sheet, patient.hu["muscle"], MUSCLE)
    if patient.female:
        _paint_glands(canvas, muscle, skin, rng)


def _paint_glands(
    canvas: Canvas, muscle: np.ndarray, skin: np.ndarray, rng: np.random.Generator
) -> None:
    """Strands of glandular tissue in the fat of the breasts."""
    box = canvas.box((-140, -190, 20), (140, -60, 110))
    if box is None:
        return
    p = canvas.full[box]
    bulk = np.hypot((np.abs(p.x) - 82) / 42, (p.z - 62) / 36)
    strands = texture(rng, p.x.shape, canvas.spacing, 9.0) + rng.uniform(-1.6, 0.6)
    share = np.clip(strands, 0, 1) * np.clip(1.5 - 1.5 * bulk, 0, 1)
    free = np.minimum(muscle[box] - 4, -skin[box] - 8)
    canvas.blend(box, share * np.clip(free / 6, 0, 1), 20.0)


def _paint_arms(canvas: Canvas, patient: Patient) -> None:
    reach = 178 + 1.1 * patient.fat
    for sign in (-1, 1):
        line = np.array([[sign * 160, 10, 185], [sign * reach, 15, 60],
                         [sign * (reach + 12), 5, -120],
                         [sign * (reach + 5), -20, -330]])  # fmt: skip
        for radius, hu in ((44 + 0.5 * patient.fat, -100), (40, 55), (11, 700), (6.5, 40)):
            rows = np.hstack(
                [line[:-1], np.full((3, 1), radius), line[1:], np.full((3, 1), radius)]
            )
            paint_tubes(canvas, rows, hu)
