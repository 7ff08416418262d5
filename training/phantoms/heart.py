"""The heart and the great vessels of the chest."""

import numpy as np

from training.phantoms.canvas import Canvas, Place
from training.phantoms.fields import texture
from training.phantoms.organs import HEART, VESSEL
from training.phantoms.patient import Patient
from training.phantoms.shapes import ellipsoid
from training.phantoms.tubes import chain, paint_tubes, spline, tube_distance

AORTA = [(-6, -18, 48, 15), (-16, -26, 75, 15.5), (-14, -24, 105, 15), (0, -8, 125, 14),
         (16, 18, 128, 13), (24, 38, 112, 12.5), (25, 46, 80, 12), (22, 46, 30, 11.5),
         (12, 36, -25, 11), (6, 24, -70, 10.5), (4, 16, -120, 9.5),
         (4, 12, -160, 9), (3, 14, -200, 8.5)]  # fmt: skip
TRUNK = [
    (16, -36, 52, 14),
    (18, -30, 76, 14),
    (12, -4, 88, 12.5),
    (-16, 4, 82, 10),
    (-40, 12, 80, 8),
]
LEFT_LUNG_ARTERY = [(16, -20, 84, 12), (24, 8, 94, 11), (38, 24, 84, 8)]
VENA_SUPERIOR = [(-36, -34, 160, 6), (-28, -26, 130, 8.5), (-26, -20, 80, 9), (-26, -18, 50, 10)]
VENA_INFERIOR = [(-26, -12, 20, 12), (-22, 2, -10, 12), (-20, 14, -50, 11.5), (-20, 18, -110, 11),
                 (-18, 16, -160, 10), (-14, 18, -205, 10)]  # fmt: skip
BRANCHES = ([(2, -14, 124, 6), (-10, -18, 150, 5.5), (-26, -12, 180, 4.5), (-34, -8, 230, 4)],
            [(12, 4, 128, 4.5), (16, -4, 160, 4), (26, -2, 230, 4)],
            [(20, 22, 126, 5), (26, 16, 160, 4.5), (60, -10, 188, 4.5),
             (110, -5, 190, 4)])  # fmt: skip
LUNG_VEINS = (
    [(2, 14, 44, 9), (-26, 16, 50, 6), (-44, 18, 46, 4)],
    [(4, 14, 48, 9), (28, 18, 52, 6), (46, 22, 46, 4)],
)


def _heart_axes() -> np.ndarray:
    long = np.array([0.72, -0.42, -0.55])
    long /= np.linalg.norm(long)
    across = np.cross(long, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    return np.array([long, across, np.cross(long, across)])


HEART_SHAPE = ((20, -24, 26), (64, 47, 50), _heart_axes())
"""Middle, half axes and directions of the heart."""


def great_vessel_distance(p: Place) -> np.ndarray:
    """Distance to the vessels that shape the edge of the mediastinum, on coarse nodes."""
    best = np.full(p.x.shape, 1e3, np.float32)
    for line in (AORTA[:9], VENA_SUPERIOR, TRUNK, LEFT_LUNG_ARTERY):
        for x, y, z, r in spline(line, 9.0):
            d = np.sqrt((p.x - x) ** 2 + (p.y - y) ** 2 + (p.z - z) ** 2) - r
            np.minimum(best, d, out=best)
    return best


def paint_heart(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paint the heart, its chambers and the fat in its grooves."""
    box = canvas.box((-75, -95, -55), (105, 60, 100))
    if box is None:
        return
    p = canvas.full[box]
    centre, radii, axes = HEART_SHAPE
    fine = texture(rng, p.x.shape, canvas.spacing, 6.0)
    outer = ellipsoid(p, centre, radii, axes) + 1.2 * texture(rng, p.x.shape, canvas.spacing, 25.0)
    muscle = patient.hu["heart_muscle"] + 4 * fine
    canvas.paint(box, outer, muscle, HEART)
    left, right = patient.hu["artery"], patient.hu["vein"]
    if patient.phase == "arterial":
        right = 0.6 * patient.hu["lung_vessel"] + 0.4 * right
    chambers = (
        ((40, -22, 14), (42, 21, 23), left),
        ((14, -50, 18), (44, 17, 30), right),
        ((-26, -18, 32), (26, 26, 32), right),
        ((2, 12, 44), (30, 20, 24), left),
    )
    groove = np.abs(ellipsoid(p, (0, -12, 36), (34, 34, 34))) - 2.0
    groove = np.maximum(groove, -outer - 14)
    canvas.blend(box, canvas.weight(groove) * 0.8 * (outer < 0), -70.0)
    for where, size, hu in chambers:
        cavity = ellipsoid(p, where, size, axes if where[0] > 10 else None)
        canvas.paint(box, np.maximum(cavity, outer + 3), hu + 3 * fine, HEART)


def paint_great_vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paint aorta, pulmonary vessels, great veins, oesophagus and lymph nodes."""
    hu = patient.hu
    paint_tubes(canvas, chain(spline(VENA_SUPERIOR)), hu["vein"], VESSEL)
    brachio = [(30, -44, 158, 5), (0, -42, 148, 6), (-26, -30, 135, 7)]
    paint_tubes(canvas, chain(spline(brachio)), hu["vein"], VESSEL)
    for vein in LUNG_VEINS:
        paint_tubes(canvas, chain(spline(vein)), hu["artery"] * 0.95, VESSEL)
    paint_tubes(canvas, chain(spline(TRUNK)), hu["lung_vessel"], VESSEL)
    paint_tubes(canvas, chain(spline(LEFT_LUNG_ARTERY)), hu["lung_vessel"], VESSEL)
    for sign in (-1, 1):
        neck = [(sign * 26, -20, 165, 5), (sign * 36, -6, 200, 5.5), (sign * 38, 0, 260, 5.5)]
        paint_tubes(canvas, chain(spline(neck)), hu["vein"], VESSEL)
    wide = np.array(AORTA) * [1, 1, 1, rng.uniform(0.88, 1.05) + 0.18 * patient.age]
    tube = tube_distance(canvas, chain(spline(wide)))
    if tube is not None:
        box, d = tube
        canvas.paint(box, d, hu["artery"], VESSEL)
        plaque = texture(rng, d.shape, canvas.spacing, 9.0) - 3.6 + 2.0 * patient.age
        canvas.blend(box, canvas.weight(np.abs(d) - 1.0) * np.clip(3 * plaque, 0, 1), 600.0)
    for branch in BRANCHES:
        paint_tubes(canvas, chain(spline(branch)), hu["artery"], VESSEL)
    oesophagus = [
        (2, 22, 240, 7),
        (6, 30, 150, 8),
        (6, 36, 90, 8),
        (12, 30, 20, 8),
        (24, 18, -25, 9),
    ]
    paint_tubes(canvas, chain(spline(oesophagus)), 42.0, VESSEL)
    if rng.random() < 0.4:
        paint_tubes(canvas, chain(spline(np.array(oesophagus) * [1, 1, 1, 0.3])), -500.0)
    nodes = np.column_stack(
        [rng.uniform(-30, 30, 14), rng.uniform(-20, 25, 14), rng.uniform(40, 150, 14)]
    )
    for node in nodes:
        row = np.array([*node, rng.uniform(1.5, 4)])
        paint_tubes(canvas, np.concatenate([row, row + [3, 2, 5, 0]])[None], 38.0)
