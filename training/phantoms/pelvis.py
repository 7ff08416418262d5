"""Hip bones, sacral wings, and the upper ends of the femora."""

import numpy as np

from ctscreener.scan import Box
from training.phantoms.body import spine_y
from training.phantoms.canvas import Canvas, Place
from training.phantoms.fields import smooth_max, smooth_min, texture
from training.phantoms.organs import BONE, MUSCLE
from training.phantoms.patient import Patient
from training.phantoms.tubes import chain, spline, tube_distance

LOW, HIGH = -440, -195


def paint_pelvis(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paint the bones and the deep muscles of the pelvis.

    Arguments:
        canvas: What is painted on.
        patient: Gives age and sex.
        rng: Draws spongy bone.
    """
    for sign in (-1, 1):
        low, high = sorted((sign * 10, sign * 190))
        box = canvas.box((low, -90, LOW), (high, 120, HIGH))
        if box is None:
            continue
        p = canvas.full[box]
        side = Place(p.x * sign, p.y, p.z)
        noise = texture(rng, p.x.shape, canvas.spacing, 3.0)
        if patient.female:
            side = Place(side.x - 3, side.y, side.z)
        _paint_deep_muscle(canvas, box, side, patient)
        for bone in (
            _hip(canvas, box, side, sign),
            _femur(canvas, box, side, sign),
            _sacrum(side),
        ):
            _paint(canvas, box, bone, patient, noise)


def _paint(
    canvas: Canvas, box: Box, bone: np.ndarray, patient: Patient, noise: np.ndarray
) -> None:
    inside = np.clip(1.7 - np.maximum(-bone, 0) / 1.6, 0, 1)
    spongy = 200 - 120 * patient.age + 25 * noise
    canvas.paint(box, bone, spongy + (650 - 150 * patient.age - spongy) * inside, BONE)


def _paint_deep_muscle(canvas: Canvas, box: Box, p: Place, patient: Patient) -> None:
    """Iliacus and the muscles of the pelvic floor hug the bone from inside."""
    wing = _wing(p)
    hug = np.maximum(wing - 9, np.maximum(-300 - p.z, p.z + 225))
    canvas.paint(box, hug, patient.hu["muscle"], MUSCLE)
    ball = np.sqrt((p.x - 92) ** 2 + (p.y - 22) ** 2 + (p.z + 350) ** 2)
    floor = np.maximum(ball - 46, p.x - 66)
    canvas.paint(box, floor, patient.hu["muscle"], MUSCLE)


def _wing(p: Place) -> np.ndarray:
    start, end = np.array([38.0, 76.0]), np.array([126.0, -42.0])
    along = (end - start) / np.linalg.norm(end - start)
    u = (p.x - start[0]) * along[0] + (p.y - start[1]) * along[1]
    lean = np.clip((p.z + 330) / 110, 0, 1)
    v = (p.x - start[0]) * -along[1] + (p.y - start[1]) * along[0]
    v = v - 13 * np.sin(np.clip(u / 147, 0, 1) * np.pi) * lean - 8 * (lean - 0.6)
    t = u / 147
    crest = -202 - 46 * (2 * t - 0.95) ** 2
    thick = 4.5 + 5 * np.abs(2 * t - 1) ** 2 + 3 * np.clip(1 - lean, 0, 1)
    narrow = np.clip((-250 - p.z) / 90, 0, 1)
    middle = 0.5 + 0.02 * narrow
    half = 0.52 - 0.34 * narrow
    plate = smooth_max(np.abs(v) - thick, (np.abs(t - middle) - half) * 147, 8)
    return smooth_max(plate, np.maximum(p.z - crest, -352 - p.z), 8)


def _rows(sign: int, *lines: list) -> np.ndarray:
    return np.vstack([chain(spline(np.array(line) * [sign, 1, 1, 1])) for line in lines])


def _tube(canvas: Canvas, box: Box, rows: np.ndarray) -> np.ndarray:
    distance = np.full([s.stop - s.start for s in box], 1e3, np.float32)
    found = tube_distance(canvas, rows)
    if found is None:
        return distance
    where, values = found
    inner, outer = [], []
    for a, b in zip(box, where, strict=True):
        start, stop = max(a.start, b.start), min(a.stop, b.stop)
        if stop <= start:
            return distance
        outer.append(slice(start - a.start, stop - a.start))
        inner.append(slice(start - b.start, stop - b.start))
    distance[tuple(outer)] = values[tuple(inner)]
    return distance


def _hip(canvas: Canvas, box: Box, p: Place, sign: int) -> np.ndarray:
    ball = np.sqrt((p.x - 92) ** 2 + (p.y - 22) ** 2 + (p.z + 350) ** 2)
    cup = np.maximum(np.abs(ball - 32) - 5, (p.x - 92) * 0.8 - (p.z + 350) * 0.7 - 6)
    lines = (
        [(70, 10, -352, 10), (45, -25, -368, 8), (14, -38, -382, 9)],
        [(80, 42, -365, 11), (66, 58, -395, 12), (55, 60, -420, 12)],
        [(55, 58, -420, 8), (30, 5, -408, 6), (12, -34, -392, 7)],
    )
    rest = _tube(canvas, box, _rows(sign, *lines))
    return smooth_min(smooth_min(_wing(p), cup, 8), rest, 5)


def _femur(canvas: Canvas, box: Box, p: Place, sign: int) -> np.ndarray:
    ball = np.sqrt((p.x - 92) ** 2 + (p.y - 22) ** 2 + (p.z + 350) ** 2) - 24
    lines = (
        [(96, 22, -352, 15), (118, 26, -372, 14), (142, 34, -388, 17)],
        [(140, 34, -380, 16), (142, 30, -410, 16), (138, 22, -460, 14)],
    )
    return smooth_min(ball, _tube(canvas, box, _rows(sign, *lines)), 6)


def _sacrum(p: Place) -> np.ndarray:
    y = p.y - spine_y(p.z)
    width = np.clip(50 - (-262 - p.z) * 0.42, 8, 52)
    plate = np.maximum(
        p.x - width, np.abs(y - 10 - 0.006 * p.x**2) - np.clip(17 + (p.z + 270) * 0.09, 6, 18)
    )
    plate = np.maximum(plate, np.maximum(p.z + 262 - 0.1 * p.x, -375 - p.z))
    level = (-p.z - 262) / 27
    hole = np.hypot(p.x - width * 0.42 - 4, (level - np.floor(level) - 0.55) * 27) - 4.5
    return np.maximum(plate, -hole)
