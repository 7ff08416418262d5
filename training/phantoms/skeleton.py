"""Spine, ribs, sternum and shoulder girdle."""

import numpy as np

from training.phantoms.body import Surfaces, spine_y
from training.phantoms.canvas import Canvas, Place
from training.phantoms.fields import smooth_max, texture
from training.phantoms.organs import BONE, MUSCLE
from training.phantoms.patient import Patient
from training.phantoms.tubes import chain, spline, tube_distance

LEVELS = np.array(
    [260, 243, 227, 211, 195, 176, 157, 137, 116, 94, 72, 49, 25, 1, -26, -55, -87, -119, -152,
     -186, -221, -255, -285, -315, -345, -375]
)  # fmt: skip
"""Upper ends of C4..C7, T1..T12, L1..L5 and the sacral segments, mm."""

FIRST_RIB = 4
FIRST_SACRAL = 21


def level_of(z: np.ndarray) -> np.ndarray:
    """Return the vertebral level at heights `z`, as index into `LEVELS` plus a fraction."""
    return np.interp(-z, -LEVELS, np.arange(len(LEVELS))).astype(np.float32)


def _bone_hu(patient: Patient, noise: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Cortex near the surface, spongy bone deeper; `inside` is the depth in mm."""
    spongy = 230 - 130 * patient.age + 35 * noise
    cortex = 620 - 160 * patient.age
    return spongy + (cortex - spongy) * np.clip(1.6 - inside / 1.5, 0, 1)


def _rounded(x: np.ndarray, y: np.ndarray, width: np.ndarray, depth: np.ndarray) -> np.ndarray:
    s = np.sqrt((x / width) ** 2 + (y / depth) ** 2) + 1e-3
    r = np.hypot(x, y)
    return r - r / s


def _segments(p: Place) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    level = level_of(p.z)
    number = np.floor(level)
    at = number.astype(int)
    height = (LEVELS[at] - LEVELS[np.minimum(at + 1, len(LEVELS) - 1)]).astype(np.float32)
    return number, level - number, height


def paint_spine(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Paint vertebrae, discs, canal and the muscles behind them.

    Arguments:
        canvas: What is painted on.
        patient: Gives age and tissue values.
        rng: Draws spongy bone and spurs.
    """
    _paint_back_muscles(canvas, patient, rng)
    box = canvas.box((-50, 0, -385), (50, 150, 260))
    if box is None:
        return
    p = canvas.full[box]
    y = p.y - spine_y(p.z)
    number, phase, height = _segments(p)
    noise = texture(rng, p.x.shape, canvas.spacing, 3.0)
    lumbar = np.clip((60 - p.z) / 170, 0, 1)
    width = 15 + 9 * lumbar + np.where(number >= FIRST_SACRAL, 10, 0)
    depth = 12.5 + 4.5 * lumbar - np.clip((-270 - p.z) / 14, 0, 8)
    disc = (0.17 + 0.08 * lumbar) * (1.1 - 0.4 * patient.age) * (number < FIRST_SACRAL)
    edge = np.minimum(phase - disc / 2, 1 - disc / 2 - phase) * height
    waist = 1.8 * np.clip(edge / 10, 0, 1)
    body = _rounded(p.x, y, width - waist, depth - 0.6 * waist)
    canvas.paint(box, np.maximum(body, -16), np.float32(80) + 6 * noise, BONE)
    vertebra = np.maximum(body, -edge)
    canvas.paint(box, vertebra, _bone_hu(patient, noise, np.minimum(-body, 2 * edge + 0.5)), BONE)
    arch = _posterior(p.x, y - depth, phase, number, height)
    canvas.paint(box, arch, _bone_hu(patient, noise, -arch), BONE)
    _paint_canal(canvas, box, p.x, y - depth)


def _posterior(
    x: np.ndarray, back: np.ndarray, phase: np.ndarray, number: np.ndarray, height: np.ndarray
) -> np.ndarray:
    """Pedicles, laminae, spinous and transverse processes; `back` starts at the canal."""
    middle = (phase - 0.45) * height
    ring = np.abs(np.hypot(x, (back - 9) * 0.95) - 13) - 3.2
    lamina = np.maximum(ring, np.abs(middle - 1) - 0.34 * height)
    lean = middle - np.clip(back - 20, 0, 40) * 0.35
    spinous = np.maximum(np.abs(x) - 2.6, np.maximum(18 - back, back - 44))
    spinous = np.maximum(spinous, np.abs(lean - 2) - 0.26 * height)
    transverse = np.hypot(back - 11 - 0.18 * np.abs(x), middle + 2) - 4.5
    transverse = np.maximum(transverse, np.abs(x) - 33)
    facet = np.hypot(np.abs(x) - 15, back - 16) - 6.5
    arch = np.minimum(np.minimum(lamina, spinous), np.minimum(transverse, facet))
    return np.where(
        number >= FIRST_SACRAL, np.minimum(np.maximum(ring, np.abs(x) - 25), arch + 3), arch
    )


def _paint_canal(canvas: Canvas, box: tuple, x: np.ndarray, back: np.ndarray) -> None:
    canal = np.hypot(x, back - 9) - 9
    canvas.paint(box, canal, -40.0, MUSCLE)
    canvas.paint(box, canal + 1.8, 18.0, MUSCLE)
    canvas.paint(box, canal + 4.2, 38.0, MUSCLE)


def _paint_back_muscles(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    z = np.array([250, 200, 150, 80, 0, -80, -160, -230, -290, -350])
    size = np.array([16, 17, 17, 17, 19, 22, 25, 25, 17, 6])
    for sign in (-1, 1):
        offset = np.array([14, 16, 19, 21, 23, 26, 29, 30, 27, 20]) * sign
        rows = chain(np.column_stack([offset, spine_y(z) + 38, z, size]))
        found = tube_distance(canvas, rows)
        if found is None:
            continue
        box, distance = found
        fine = texture(rng, distance.shape, canvas.spacing, 4.0)
        streak = np.clip(fine - 1.5 + 0.6 * patient.age, 0, 1)
        canvas.paint(box, distance, patient.hu["muscle"] - 90 * streak, MUSCLE)


def paint_ribs(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    """Paint twelve pairs of ribs, their cartilage and the muscle between them.

    A rib is the place where height plus a drop that grows towards the front has a fixed value.

    Arguments:
        canvas: What is painted on.
        patient: Gives age and tissue values.
        surfaces: The ribs lie just inside the cage.
        rng: Draws the waviness.
    """
    box = canvas.box((-170, -130, -190), (170, 130, 205))
    if box is None:
        return
    cage = canvas.lift(surfaces.cage, box)
    wall = np.flatnonzero((cage < 3) & (cage > -15))
    p = Place(*(c[box].ravel()[wall] for c in (canvas.full.x, canvas.full.y, canvas.full.z)))
    depth = cage.ravel()[wall] + 6.0
    theta = np.arctan2(np.abs(p.x), p.y) / np.pi
    drop = np.clip(48 + 0.42 * (165 - p.z), 30, 118) * (0.5 - 0.5 * np.cos(np.pi * theta**0.9))
    wavy = texture(rng, cage.shape, canvas.spacing, 60.0).ravel()[wall]
    level = level_of(p.z + drop + 2.0 * wavy) - FIRST_RIB
    number = np.floor(level)
    along = (level - number - 0.35) * 24
    end = np.interp(number, [0, 6, 7, 9, 10, 11], [0.86, 0.80, 0.72, 0.62, 0.45, 0.33])
    bone = np.hypot(depth * 1.6, along) - 6.0
    bone = np.maximum(bone, (theta - end) * 150)
    bone = np.maximum(bone, np.where((number < 0) | (number > 11), 9, -9))
    bone = np.maximum(bone, 20 - np.abs(p.x))
    cartilage = np.maximum(np.hypot(depth * 1.5, along) - 6.2, (theta - 0.95) * 150)
    cartilage = np.maximum(cartilage, np.where((number < 0) | (number > 9), 9, -9))
    noise = rng.standard_normal(len(wall)).astype(np.float32)
    flat = canvas.hu[box].ravel()
    intercostal = canvas.weight(np.abs(depth + 1) - 4.5) * (p.z > -75 - 70 * (0.6 - theta))
    intercostal = intercostal * (level > -0.1)
    flat[wall] += intercostal * (patient.hu["muscle"] - 8 - flat[wall])
    calcium = np.where(np.abs(cartilage) < 2, 130 * patient.age, 0)
    flat[wall] += canvas.weight(cartilage) * (85 + calcium - flat[wall])
    flat[wall] += canvas.weight(bone) * (_bone_hu(patient, noise, -bone * 0.9) - flat[wall])
    canvas.hu[box] = flat.reshape(cage.shape)
    label = canvas.organ[box].ravel()
    label[wall[bone < 0]] = BONE
    canvas.organ[box] = label.reshape(cage.shape)


def paint_sternum(canvas: Canvas, patient: Patient, surfaces: Surfaces) -> None:
    """Paint the sternum as a plate in front of the cage."""
    box = canvas.box((-40, -140, 5), (40, -40, 180))
    if box is None:
        return
    p = canvas.full[box]
    cage = canvas.lift(surfaces.cage, box)
    width = np.interp(p.z, [10, 40, 120, 150, 172], [8, 17, 14, 24, 27])
    plate = smooth_max(np.abs(p.x) - width, np.abs(cage + 5) - 5.5, 6)
    plate = np.maximum(np.maximum(plate, np.abs(p.z - 90) - 80), p.y + 20)
    canvas.paint(box, plate, _bone_hu(patient, np.zeros_like(plate), -plate), BONE)


def paint_shoulders(canvas: Canvas, patient: Patient, surfaces: Surfaces) -> None:
    """Paint clavicles, shoulder blades and the heads of the humeri."""
    for sign in (-1, 1):
        bones = (
            [(20, -56, 166, 8), (52, -52, 172, 6), (90, -34, 182, 5.5), (122, -14, 186, 7)],
            [(140, 22, 176, 21), (142, 18, 180, 21)],
            [(60, 84, 160, 4), (95, 68, 175, 5), (128, 30, 188, 6)],
        )
        for bone in bones:
            points = spline(np.array(bone) * [sign, 1, 1, 1])
            _paint_bone(canvas, patient, points)
    box = canvas.box((-190, 10, 45), (190, 140, 190))
    if box is None:
        return
    p, cage = canvas.full[box], canvas.lift(surfaces.cage, box)
    x = np.abs(p.x)
    low = (x - 50) * 0.25 - (p.z - 55) * 0.15
    plate = np.maximum(np.abs(cage - 8 - low * 0.2) - 2.6, np.abs(p.z - 110) - 60)
    plate = np.maximum(plate, np.maximum(58 + 0.25 * (p.z - 110) - x, x - 95 - 0.5 * (p.z - 110)))
    plate = np.maximum(plate, 15 - p.y)
    canvas.paint(box, plate, _bone_hu(patient, np.zeros_like(plate), -plate), BONE)


def _paint_bone(canvas: Canvas, patient: Patient, points: np.ndarray) -> None:
    found = tube_distance(canvas, chain(points))
    if found is None:
        return
    box, distance = found
    canvas.paint(box, distance, _bone_hu(patient, np.zeros_like(distance), -distance), BONE)
