"""Lungs with vessels and airways, heart and the great vessels."""

import numpy as np

from training.phantoms.body import Surfaces, spine_y
from training.phantoms.canvas import Box, Canvas, Place
from training.phantoms.fields import curve, smooth_max, smooth_min, texture
from training.phantoms.patient import Patient
from training.phantoms.tubes import chain, grow_tree, paint_tubes, spline, tube_distance

LUNG, HEART, VESSEL, AIRWAY = 4, 5, 6, 7
CHEST = ((-150, -125, -120), (150, 120, 205))


def ellipsoid(p: Place, centre: tuple, radii: tuple, axes: np.ndarray | None = None) -> np.ndarray:
    """Approximate signed distance to an ellipsoid, mm.

    Arguments:
        p: Where it is evaluated.
        centre: Middle `(x, y, z)` in mm.
        radii: Half axes in mm.
        axes: Rows are the directions of the half axes; None for those of the body.

    Returns:
        Signed distance, negative inside.
    """
    d = [p.x - centre[0], p.y - centre[1], p.z - centre[2]]
    if axes is not None:
        d = [row[0] * d[0] + row[1] * d[1] + row[2] * d[2] for row in axes.astype(np.float32)]
    s = np.sqrt(sum((c / r) ** 2 for c, r in zip(d, radii, strict=True))) + 1e-3
    r = np.sqrt(sum(c * c for c in d))
    return r - r / s


def _mediastinum(p: Place, rng: np.random.Generator) -> np.ndarray:
    """Everything between the lungs: spine, heart with its fat, great vessels and their fat."""
    spine = np.hypot(p.x * 0.95, p.y - spine_y(p.z) - 8) - 27
    heart = ellipsoid(p, *HEART_SHAPE) - 5 - rng.uniform(0, 5)
    half = curve(p.z, ((205, 30), (170, 34), (130, 30), (90, 26), (40, 22), (-60, 24)))
    band = np.abs(p.x - curve(p.z, ((200, 0), (120, 4), (60, 0), (0, 10)))) - half
    front = -p.y - curve(p.z, ((200, 40), (150, 56), (100, 55), (20, 40)))
    band = smooth_max(band, front, 14.0)
    septum = np.maximum(np.abs(p.x + 2) - 4, p.y)
    root = np.hypot((np.abs(p.x) - 20) / 1.6, np.hypot(p.y - 20, p.z - 78) * 0.9) - 15
    return smooth_min(smooth_min(smooth_min(spine, band, 18), heart, 14), np.minimum(septum, root), 8)


def _heart_axes() -> np.ndarray:
    long = np.array([0.72, -0.42, -0.55])
    long /= np.linalg.norm(long)
    across = np.cross(long, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    return np.array([long, across, np.cross(long, across)])


HEART_SHAPE = ((20, -24, 26), (64, 47, 50), _heart_axes())


def lung_distance(canvas: Canvas, surfaces: Surfaces, box: Box, rng: np.random.Generator) -> np.ndarray:
    """Signed distance to the lungs in mm, in a box of voxels."""
    p = canvas.coarse
    apex = ((np.abs(p.x) - 58) / 112) ** 2 + ((p.y - 8) / 130) ** 2
    apex = (np.sqrt(apex + (np.clip(p.z - 40, 0, None) / 150) ** 2) - 1) * 90
    d = smooth_max(surfaces.cage + 12.5, apex, 10.0)
    d = smooth_max(d, -_mediastinum(p, rng), 5.0)
    d = smooth_max(d, -(surfaces.diaphragm - 2.5), 6.0)
    return canvas.lift(d, box)


def paint_thorax(canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator) -> None:
    """Paint the contents of the chest.

    Arguments:
        canvas: What is painted on.
        patient: Gives phase and age.
        surfaces: Chest wall and diaphragm.
        rng: Draws every branch.
    """
    box = canvas.box(*CHEST)
    if box is None:
        return
    lungs = lung_distance(canvas, surfaces, box, rng)
    _paint_parenchyma(canvas, box, lungs, rng)
    _paint_lung_vessels(canvas, patient, box, lungs, rng)
    _paint_heart(canvas, patient, rng)
    _paint_great_vessels(canvas, patient, rng)
    _paint_airways(canvas, rng)


def _paint_parenchyma(canvas: Canvas, box: Box, lungs: np.ndarray, rng: np.random.Generator) -> None:
    p = canvas.full[box]
    shape = lungs.shape
    base = rng.uniform(-880, -815)
    patchy = texture(rng, shape, canvas.spacing, 18.0)
    fine = texture(rng, shape, canvas.spacing, 4.5)
    gravity = rng.uniform(20, 75) * np.clip((p.y + 70) / 160, -0.2, 1.2) ** 2
    value = base + gravity + 12 * patchy + 12 * fine
    if rng.random() < 0.25:
        holes = texture(rng, shape, canvas.spacing, 10.0)
        value -= rng.uniform(30, 90) * np.clip(holes, 0, 2) * np.clip((p.z + 40) / 200, 0, 1)
    fissure = np.abs(p.y - 20 + 0.75 * (p.z - 60) + 6 * patchy * 0.3) - 0.6
    minor = np.maximum(np.abs(p.z - 62 - 0.06 * p.y) - 0.5, np.maximum(p.x, p.y - 20))
    value += 130 * canvas.weight(np.minimum(fissure, minor))
    canvas.blend(box, canvas.weight(lungs), value, LUNG)


def random_points(
    canvas: Canvas, box: Box, inside: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw points of the standard body where a mask of the box is set, `(n, 3)`."""
    found = np.flatnonzero(inside)
    if len(found) == 0:
        return np.zeros((0, 3))
    chosen = rng.choice(found, count)
    p = canvas.full[box]
    return np.stack([c.ravel()[chosen] for c in (p.x, p.y, p.z)], 1).astype(float)


def _paint_lung_vessels(
    canvas: Canvas, patient: Patient, box: Box, lungs: np.ndarray, rng: np.random.Generator
) -> None:
    x = canvas.full.x[box]
    rich = rng.uniform(0.8, 1.3)
    for sign in (-1, 1):
        side = (lungs < -3) & (x * sign > 0)
        count = int(rich * 420 * min(1.0, side.sum() * np.prod(canvas.spacing) / 1.6e6))
        for hilum, share in (((sign * 34, 14, 82), 0.6), ((sign * 30, 26, 62), 0.4)):
            ends = random_points(canvas, box, side, int(count * share), rng)
            if len(ends) == 0:
                continue
            root = np.array([(sign * 16, 8, hilum[2] - 4), hilum])
            rows = grow_tree(rng, root, ends, tip=0.55, power=2.75)
            paint_tubes(canvas, rows, patient.hu["lung_vessel"] - 5)


def _paint_heart(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
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


AORTA = [(-6, -18, 48, 15), (-16, -26, 75, 15.5), (-14, -24, 105, 15), (0, -8, 125, 14),
         (16, 18, 128, 13), (24, 38, 112, 12.5), (25, 46, 80, 12), (22, 46, 30, 11.5),
         (12, 36, -25, 11), (6, 24, -70, 10.5), (4, 16, -120, 9.5), (4, 12, -160, 9), (3, 14, -200, 8.5)]  # fmt: skip
TRUNK = [(16, -36, 52, 14), (18, -30, 76, 14), (12, -4, 88, 12.5), (-16, 4, 82, 10), (-40, 12, 80, 8)]
LEFT_LUNG_ARTERY = [(16, -20, 84, 12), (24, 8, 94, 11), (38, 24, 84, 8)]
VENA_SUPERIOR = [(-36, -34, 160, 6), (-28, -26, 130, 8.5), (-26, -20, 80, 9), (-26, -18, 50, 10)]
VENA_INFERIOR = [(-26, -12, 20, 12), (-22, 2, -10, 12), (-20, 14, -50, 11.5), (-20, 18, -110, 11),
                 (-18, 16, -160, 10), (-14, 18, -205, 10)]  # fmt: skip
BRANCHES = ([(2, -14, 124, 6), (-10, -18, 150, 5.5), (-26, -12, 180, 4.5), (-34, -8, 230, 4)],
            [(12, 4, 128, 4.5), (16, -4, 160, 4), (26, -2, 230, 4)],
            [(20, 22, 126, 5), (26, 16, 160, 4.5), (60, -10, 188, 4.5), (110, -5, 190, 4)])  # fmt: skip
LUNG_VEINS = ([(2, 14, 44, 9), (-26, 16, 50, 6), (-44, 18, 46, 4)], [(4, 14, 48, 9), (28, 18, 52, 6), (46, 22, 46, 4)])


def _paint_great_vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
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
        plaque = texture(rng, d.shape, canvas.spacing, 9.0) - 3.3 + 2.2 * patient.age
        canvas.blend(box, canvas.weight(np.abs(d) - 1.0) * np.clip(3 * plaque, 0, 1), 600.0)
    for branch in BRANCHES:
        paint_tubes(canvas, chain(spline(branch)), hu["artery"], VESSEL)
    oesophagus = [(2, 22, 240, 7), (6, 30, 150, 8), (6, 36, 90, 8), (12, 30, 20, 8), (24, 18, -25, 9)]
    paint_tubes(canvas, chain(spline(oesophagus)), 42.0, VESSEL)
    if rng.random() < 0.4:
        paint_tubes(canvas, chain(spline(np.array(oesophagus) * [1, 1, 1, 0.3])), -500.0)
    nodes = np.column_stack([rng.uniform(-30, 30, 14), rng.uniform(-20, 25, 14), rng.uniform(40, 150, 14)])
    for node in nodes:
        row = np.array([*node, rng.uniform(1.5, 4)])
        paint_tubes(canvas, np.concatenate([row, row + [3, 2, 5, 0]])[None], 38.0)


def _paint_airways(canvas: Canvas, rng: np.random.Generator) -> None:
    trachea = spline([(0, 6, 260, 9), (0, 8, 190, 9), (-2, 14, 140, 9), (0, 18, 108, 10)])
    paths = [
        chain(trachea),
        chain(spline([(0, 18, 108, 9), (-18, 18, 92, 7.5), (-32, 20, 80, 6.5), (-42, 26, 55, 4.5)])),
        chain(spline([(0, 18, 108, 9), (22, 20, 88, 6.5), (38, 26, 76, 6), (46, 30, 50, 4.2)])),
    ]
    for sign in (-1, 1):
        start = np.array([sign * 36, 21, 78])
        lobes = [(sign * 75, -30, 115), (sign * 72, 40, 130), (sign * 75, -45, 30), (sign * 68, 55, 0), (sign * 92, 30, -5), (sign * 52, 62, 10)]
        ends = np.array(lobes) + rng.normal(0, 9, (len(lobes), 3))
        more = np.repeat(ends, 2, 0) + rng.normal(0, 16, (2 * len(ends), 3))
        tree = grow_tree(rng, start[None], np.vstack([ends, more]), tip=1.1, power=2.9)
        paths.append(tree)
    rows = np.vstack(paths)
    wall = rows.copy()
    wall[:, [3, 7]] += 0.5 + 0.12 * rows[:, [3, 7]]
    paint_tubes(canvas, wall, 15.0, AIRWAY)
    paint_tubes(canvas, rows, -990.0, AIRWAY)
