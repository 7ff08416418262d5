"""Lungs with vessels and airways, heart and the great vessels."""

import numpy as np

from ctscreener.scan import Box
from training.phantoms.body import Surfaces, spine_y
from training.phantoms.canvas import Canvas, Place
from training.phantoms.fields import curve, smooth_max, smooth_min, texture
from training.phantoms.heart import (
    HEART_SHAPE,
    great_vessel_distance,
    paint_great_vessels,
    paint_heart,
)
from training.phantoms.organs import AIRWAY, LUNG
from training.phantoms.patient import Patient
from training.phantoms.shapes import ellipsoid, random_points
from training.phantoms.tubes import chain, grow_tree, paint_tubes, spline, vessel_weight

CHEST = ((-150, -125, -120), (150, 120, 205))


def _mediastinum(p: Place, rng: np.random.Generator) -> np.ndarray:
    """Everything between the lungs: spine, heart with its fat, great vessels and their fat."""
    spine = np.hypot(p.x * 0.95, p.y - spine_y(p.z) - 8) - 27
    heart = ellipsoid(p, *HEART_SHAPE) - 5 - rng.uniform(0, 5)
    half = curve(p.z, ((205, 26), (170, 26), (130, 20), (90, 20), (40, 20), (-60, 22)))
    band = np.abs(p.x - curve(p.z, ((200, 0), (120, 4), (60, 0), (0, 10)))) - half
    front = -p.y - curve(p.z, ((200, 40), (150, 56), (100, 55), (20, 40)))
    band = smooth_max(band, front, 14.0)
    band = smooth_min(band, great_vessel_distance(p) - 2.5, 10.0)
    septum = np.maximum(np.abs(p.x + 2) - 4, p.y)
    root = np.hypot((np.abs(p.x) - 20) / 1.6, np.hypot(p.y - 20, p.z - 78) * 0.9) - 15
    return smooth_min(
        smooth_min(smooth_min(spine, band, 18), heart, 14), np.minimum(septum, root), 8
    )


def lung_distance(
    canvas: Canvas, surfaces: Surfaces, box: Box, rng: np.random.Generator
) -> np.ndarray:
    """Signed distance to the lungs in mm, in a box of voxels."""
    p = canvas.coarse
    apex = ((np.abs(p.x) - 58) / 112) ** 2 + ((p.y - 8) / 130) ** 2
    apex = (np.sqrt(apex + (np.clip(p.z - 40, 0, None) / 150) ** 2) - 1) * 90
    d = smooth_max(surfaces.cage + 12.5, apex, 10.0)
    d = smooth_max(d, -_mediastinum(p, rng), 5.0)
    d = smooth_max(d, -(surfaces.diaphragm - 2.5), 6.0)
    return canvas.lift(d, box)


def paint_thorax(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
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
    paint_heart(canvas, patient, rng)
    paint_great_vessels(canvas, patient, rng)
    _paint_airways(canvas, rng)


def _paint_parenchyma(
    canvas: Canvas, box: Box, lungs: np.ndarray, rng: np.random.Generator
) -> None:
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
    value += rng.uniform(30, 110) * canvas.weight(np.minimum(fissure, minor))
    canvas.blend(box, canvas.weight(lungs), value, LUNG)


def _paint_lung_vessels(
    canvas: Canvas, patient: Patient, box: Box, lungs: np.ndarray, rng: np.random.Generator
) -> None:
    x = canvas.full.x[box]
    rich = rng.uniform(0.8, 1.3)
    for sign in (-1, 1):
        side = (lungs < -3) & (x * sign > 0)
        count = int(rich * 800 * min(1.0, side.sum() * np.prod(canvas.spacing) / 1.6e6))
        for hilum, share in (((sign * 34, 14, 82), 0.6), ((sign * 30, 26, 62), 0.4)):
            ends = random_points(canvas, box, side, int(count * share), rng)
            if len(ends) == 0:
                continue
            root = np.array([(sign * 16, 8, hilum[2] - 4), hilum])
            rows = grow_tree(rng, root, ends, tip=0.6, power=2.5)
            paint_tubes(canvas, rows, patient.hu["lung_vessel"] - 5)


def _paint_airways(canvas: Canvas, rng: np.random.Generator) -> None:
    trachea = spline([(0, 6, 260, 9), (0, 8, 190, 9), (-2, 14, 140, 9), (0, 18, 108, 10)])
    paths = [
        chain(trachea),
        chain(
            spline([(0, 18, 108, 9), (-18, 18, 92, 7.5), (-32, 20, 80, 6.5), (-42, 26, 55, 4.5)])
        ),
        chain(spline([(0, 18, 108, 9), (22, 20, 88, 6.5), (38, 26, 76, 6), (46, 30, 50, 4.2)])),
    ]
    for sign in (-1, 1):
        start = np.array([sign * 36, 21, 78])
        lobes = [
            (sign * 75, -30, 115),
            (sign * 72, 40, 130),
            (sign * 75, -45, 30),
            (sign * 68, 55, 0),
            (sign * 92, 30, -5),
            (sign * 52, 62, 10),
        ]
        ends = np.array(lobes) + rng.normal(0, 9, (len(lobes), 3))
        more = np.repeat(ends, 2, 0) + rng.normal(0, 16, (2 * len(ends), 3))
        tree = grow_tree(rng, start[None], np.vstack([ends, more]), tip=0.8, power=2.7)
        paths.append(tree)
    for rows, anywhere in ((np.vstack(paths[3:]), False), (np.vstack(paths[:3]), True)):
        wall = rows.copy()
        wall[:, [3, 7]] += 0.5 + 0.12 * rows[:, [3, 7]]
        _paint_airway(canvas, wall, 15.0, anywhere)
        _paint_airway(canvas, rows, -990.0, anywhere)


def _paint_airway(canvas: Canvas, rows: np.ndarray, value: float, anywhere: bool) -> None:
    """Paint bronchi; those not `anywhere` stay within the lungs."""
    found = vessel_weight(canvas, rows)
    if found is None:
        return
    box, weight = found
    if not anywhere:
        weight = weight * np.isin(canvas.organ[box], (LUNG, AIRWAY))
    canvas.blend(box, weight, value, AIRWAY)
