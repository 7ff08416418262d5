"""Liver, gallbladder, spleen, kidneys, pancreas and their vessels."""

import numpy as np

from training.phantoms.body import Surfaces, spine_y
from training.phantoms.canvas import Canvas
from training.phantoms.fields import smooth_max, texture
from training.phantoms.heart import VENA_INFERIOR
from training.phantoms.organs import (
    FAT,
    GALLBLADDER,
    KIDNEY,
    LIVER,
    MUSCLE,
    PANCREAS,
    SPLEEN,
    VESSEL,
)
from training.phantoms.patient import Patient
from training.phantoms.shapes import ellipsoid, random_points
from training.phantoms.tubes import chain, grow_tree, paint_tubes, spline, tube_distance

GALL = (-48, -48, -122)


def paint_abdomen(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    """Paint the solid organs of the upper abdomen and the vessels behind them.

    Arguments:
        canvas: What is painted on.
        patient: Gives phase and tissue values.
        surfaces: Wall and diaphragm bound the organs.
        rng: Draws sizes and branches.
    """
    _paint_spleen(canvas, patient, surfaces, rng)
    _paint_psoas(canvas, patient, rng)
    for sign in (-1, 1):
        _paint_kidney(canvas, patient, sign, rng)
        _paint_adrenal(canvas, patient, sign)
    _paint_pancreas(canvas, patient, rng)
    _paint_liver(canvas, patient, surfaces, rng)
    _paint_vessels(canvas, patient, rng)


def _paint_liver(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    box = canvas.box((-150, -120, -200), (100, 110, 30))
    if box is None:
        return
    p = canvas.coarse
    long, left, gall = rng.normal(0, 12), rng.normal(0, 14), rng.uniform(0.6, 1.15)
    under = -158 - long + 0.78 * np.clip(p.x + 105, 0, 95) + 0.42 * np.clip(p.x - 5, 0, 200)
    under = under + 0.42 * np.clip(p.y, -40, 60) + 10 * ((p.y < 0) * p.y / 60)
    lower = (under - p.z) * 0.8
    taper = (
        p.x - (58 + left) + 0.75 * np.clip(p.y + 62, -20, 110) - 0.45 * np.clip(p.z + 40, -60, 40)
    )
    spine = 44 - np.hypot(p.x, (p.y - spine_y(p.z)) * 0.95)
    behind = p.y - 12 - 1.15 * np.clip(-p.x - 24, 0, 140)
    d = smooth_max(surfaces.cage + 13, surfaces.diaphragm + 1.5, 10)
    d = smooth_max(d, lower, 22)
    d = smooth_max(d, taper * 0.9, 12)
    d = smooth_max(d, np.maximum(spine, behind * 0.8), 10)
    d = smooth_max(d, -ellipsoid(p, (-58, 44, -148), (36, 34, 60)), 8)
    d = smooth_max(d, -(ellipsoid(p, GALL, (15 * gall, 17 * gall, 32 * gall)) - 2), 3)
    distance = canvas.lift(d, box)
    fine = texture(rng, distance.shape, canvas.spacing, 5.0)
    broad = texture(rng, distance.shape, canvas.spacing, 45.0)
    lean = 14 + 0.5 * (canvas.full.y[box] + 60)
    ligament = np.abs(canvas.full.x[box] - lean) - rng.uniform(0, 1.8)
    distance = np.maximum(
        distance, -np.maximum(ligament, canvas.full.y[box] + rng.uniform(52, 70))
    )
    value = patient.hu["liver"] + 3.5 * fine + 3 * broad
    canvas.paint(box, distance, value, LIVER)
    _paint_liver_vessels(canvas, patient, box, distance, rng)
    if rng.random() < 0.85:
        _paint_gallbladder(canvas, patient, gall, rng.normal(8, 4))


def _paint_gallbladder(canvas: Canvas, patient: Patient, size: float, bile: float) -> None:
    box = canvas.box((-80, -90, -170), (-15, 0, -75))
    if box is None:
        return
    d = ellipsoid(canvas.full[box], GALL, (15 * size, 17 * size, 32 * size))
    canvas.paint(box, d - 1.2, patient.hu["wall"], GALLBLADDER)
    canvas.paint(box, d, bile, GALLBLADDER)


def _paint_liver_vessels(
    canvas: Canvas, patient: Patient, box: tuple, distance: np.ndarray, rng: np.random.Generator
) -> None:
    inside = distance < -7
    roots = (
        (np.array([(-22, 6, -20), (-26, 0, -26)]), patient.hu["vein"], 60),
        (np.array([(-8, 4, -100), (-20, -4, -84), (-32, -4, -76)]), patient.hu["portal"], 110),
    )
    for root, hu, count in roots:
        ends = random_points(canvas, box, inside, count, rng)
        if len(ends):
            found = grow_tree(rng, root, ends, tip=0.8, power=2.7)
            hu_here = min(hu, patient.hu["liver"] + 70) if patient.phase != "none" else hu + 2
            paint_tubes(canvas, found, hu_here)


def _paint_spleen(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    box = canvas.box((40, -40, -140), (150, 110, 20))
    if box is None:
        return
    p = canvas.nodes(box)
    size = rng.uniform(0.95, 1.35)
    turn = np.array([[0.8, -0.6, 0.0], [0.52, 0.69, -0.5], [0.3, 0.4, 0.866]])
    d = ellipsoid(p, (104, 42, -56), (26 * size, 50 * size, 48 * size), turn)
    part = canvas.part(box)
    d = smooth_max(d, surfaces.cage[part] + 13, 8)
    d = smooth_max(d, surfaces.diaphragm[part] + 2, 8)
    d = smooth_max(d, -ellipsoid(p, (66, 8, -50), (36, 36, 50)), 6)
    distance = canvas.lift(d, box)
    fine = texture(rng, distance.shape, canvas.spacing, 5.0)
    bands = texture(rng, distance.shape, canvas.spacing, 12.0)
    mottled = 22 * np.clip(bands, -1.5, 1.5) if patient.phase == "arterial" else 0.0
    canvas.paint(box, distance, patient.hu["spleen"] + 3 * fine + mottled, SPLEEN)


def kidney_centre(sign: int) -> tuple[float, float, float]:
    """Return where the middle of a kidney lies; `sign` is 1 on the left."""
    return sign * 60.0, 44.0, -128.0 if sign > 0 else -142.0


def _paint_kidney(canvas: Canvas, patient: Patient, sign: int, rng: np.random.Generator) -> None:
    centre = np.array(kidney_centre(sign)) + rng.normal(0, 5, 3)
    reach = np.array([48, 48, 75])
    box = canvas.box(tuple(centre - reach), tuple(centre + reach))
    if box is None:
        return
    p = canvas.full[box]
    axes = np.array(
        [[0.80, sign * 0.55, sign * 0.22], [-sign * 0.57, 0.82, 0.0], [-0.18 * sign, -0.13, 0.97]]
    )
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    size = rng.uniform(0.88, 1.12)
    bumps = texture(rng, p.x.shape, canvas.spacing, 14.0)
    d = ellipsoid(p, tuple(centre), (25 * size, 29 * size, 54 * size), axes) + 0.7 * bumps
    hilum = centre - axes[0] * sign * 20
    sinus = ellipsoid(p, tuple(hilum), (15 * size, 13, 26 * size), axes)
    ragged = texture(rng, p.x.shape, canvas.spacing, 7.0)
    canvas.paint(box, d, patient.hu["cortex"] + 3 * bumps, KIDNEY)
    columns = np.clip(0.9 * np.sin(texture(rng, p.x.shape, canvas.spacing, 16.0) * 4), -1, 1)
    canvas.paint(box, d + 7.5 + 1.8 * columns, patient.hu["medulla"], KIDNEY)
    canvas.paint(box, sinus + 2.2 * ragged, -85.0, FAT)
    pelvis = ellipsoid(p, tuple(hilum - axes[0] * sign * 3), (8, 6, 15), axes) + 1.5 * ragged
    canvas.paint(box, pelvis, 12.0, KIDNEY)
    for name, level in (("artery", 4), ("vein", -6)):
        radius = 2.6 if name == "artery" else 4.5
        line = [
            (sign * 8, 18, centre[2] + level + 8, radius),
            (sign * 28, 26, centre[2] + level, radius),
            (*hilum, radius * 0.8),
        ]
        paint_tubes(canvas, chain(spline(line)), patient.hu[name], VESSEL)
    ureter = [
        (*(hilum - axes[0] * sign * 6), 3),
        (sign * 36, 26, -190, 1.8),
        (sign * 38, 22, -250, 1.8),
    ]
    paint_tubes(canvas, chain(spline(ureter)), 15.0)


def _paint_adrenal(canvas: Canvas, patient: Patient, sign: int) -> None:
    x, y, z = kidney_centre(sign)
    top = (x * 0.72, y - 12, z + 52)
    for end in ((x * 0.95, y + 4, z + 48), (x * 0.65, y + 8, z + 48)):
        rows = chain(np.array([(*top, 2.6), (*end, 1.8)]))
        rows = np.vstack([rows, rows + np.array([0, 0, 9, 0, 0, 0, 9, 0])])
        paint_tubes(canvas, rows, 0.75 * patient.hu["pancreas"] + 8)


def _paint_psoas(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    strong = rng.uniform(0.85, 1.2) * (0.9 if patient.female else 1.05)
    for sign in (-1, 1):
        line = [(20, 42, -85, 6), (30, 42, -120, 11), (37, 38, -170, 17), (45, 32, -220, 21),
                (58, 18, -270, 20), (76, -8, -320, 15), (88, -2, -370, 12)]  # fmt: skip
        rows = chain(spline(np.array(line) * [sign, 1, 1, strong]))
        paint_tubes(canvas, rows, patient.hu["muscle"], MUSCLE)
        square = [(60, 66, -120, 9), (70, 66, -170, 12), (78, 60, -215, 12)]
        paint_tubes(
            canvas,
            chain(spline(np.array(square) * [sign, 1, 1, strong])),
            patient.hu["muscle"] - 4,
            MUSCLE,
        )
        crus = [(16, 26, -40, 5), (18, 24, -80, 5), (14, 26, -120, 4)]
        paint_tubes(
            canvas, chain(spline(np.array(crus) * [sign, 1, 1, 1])), patient.hu["muscle"], MUSCLE
        )


def _paint_pancreas(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    line = np.array([(-32, -10, -138, 13), (-26, -16, -122, 13), (-6, -24, -108, 9),
                     (22, -22, -98, 9), (50, -2, -88, 9), (76, 18, -76, 8)], float)  # fmt: skip
    line[:, :3] += rng.normal(0, 4, 3)
    line[:, 3] *= rng.uniform(0.8, 1.1) * (1.1 - 0.25 * patient.age)
    found = tube_distance(canvas, chain(spline(line)))
    if found is None:
        return
    box, d = found
    lobes = texture(rng, d.shape, canvas.spacing, 6.0)
    fatty = 25 * patient.age * np.clip(lobes, 0, 2)
    canvas.paint(
        box, d + (1 + 1.5 * patient.age) * lobes, patient.hu["pancreas"] - fatty, PANCREAS
    )
    splenic = [(-10, -10, -106, 5), (22, -12, -98, 4.5), (55, 10, -86, 4), (84, 30, -64, 3)]
    paint_tubes(canvas, chain(spline(splenic)), patient.hu["portal"], VESSEL)


def _paint_vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    hu = patient.hu
    paint_tubes(canvas, chain(spline(VENA_INFERIOR)), hu["vein"], VESSEL)
    portal = [(-2, -14, -118, 6), (-10, -8, -102, 6.5), (-22, -4, -84, 6), (-34, -6, -74, 5)]
    paint_tubes(canvas, chain(spline(portal)), hu["portal"], VESSEL)
    mesenteric = [(3, -4, -112, 3.5), (4, -18, -135, 3.5), (4, -24, -180, 3), (-6, -26, -220, 2)]
    paint_tubes(canvas, chain(spline(mesenteric)), hu["artery"], VESSEL)
    vein = [(-2, -14, -118, 5), (-8, -24, -150, 5), (-10, -28, -200, 4)]
    paint_tubes(canvas, chain(spline(vein)), hu["portal"], VESSEL)
    celiac = [(4, 10, -92, 4), (4, -8, -94, 3.5), (-20, -14, -90, 2.5), (-34, -14, -80, 2)]
    paint_tubes(canvas, chain(spline(celiac)), hu["artery"], VESSEL)
    for sign in (-1, 1):
        artery = [
            (2, 16, -198, 7),
            (sign * 26, 24, -235, 5.5),
            (sign * 56, 40, -280, 5),
            (sign * 74, 8, -330, 4.5),
            (sign * 80, -40, -380, 4.5),
        ]
        paint_tubes(canvas, chain(spline(artery)), hu["artery"], VESSEL)
        drain = np.array(artery) + [sign * -2, 11, 0, 1]
        paint_tubes(canvas, chain(spline(drain)), min(hu["vein"], hu["artery"]), VESSEL)
    ends = np.column_stack(
        [rng.uniform(-95, 95, 170), rng.uniform(-75, 0, 170), rng.uniform(-300, -130, 170)]
    )
    tree = grow_tree(rng, np.array([(0, -14, -118), (0, -24, -150.0)]), ends, tip=0.8, power=3.0)
    paint_tubes(canvas, tree, hu["portal"])
