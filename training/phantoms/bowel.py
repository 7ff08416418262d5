"""Stomach, small and large bowel, bladder."""

import numpy as np
from scipy import ndimage

from ctscreener.scan import Box
from training.phantoms.body import Surfaces
from training.phantoms.canvas import Canvas
from training.phantoms.fields import texture
from training.phantoms.organs import (
    BLADDER,
    BONE,
    BOWEL,
    FAT,
    GALLBLADDER,
    KIDNEY,
    LIVER,
    LUNG,
    MUSCLE,
    SPLEEN,
    STOMACH,
    VESSEL,
)
from training.phantoms.patient import Patient
from training.phantoms.shapes import ellipsoid
from training.phantoms.tubes import chain, spline, tube_distance

KEEP = (BONE, VESSEL, LIVER, SPLEEN, KIDNEY, GALLBLADDER)
"""Organs that bowel never overwrites: bone, vessels, liver, spleen, kidneys, gallbladder."""


def paint_bowel(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    """Paint the hollow organs of the abdomen.

    Arguments:
        canvas: What is painted on.
        patient: Gives phase and fatness.
        surfaces: Bowel stays inside the wall.
        rng: Draws every loop.
    """
    oral = float(rng.choice([0, 0, 0, 180])) * rng.uniform(0.6, 1.2)
    _paint_stomach(canvas, patient, rng, oral)
    _paint_small_bowel(canvas, patient, surfaces, rng, oral)
    _paint_colon(canvas, patient, surfaces, rng)
    _paint_bladder(canvas, patient, rng)


def _free(canvas: Canvas, box: Box, surfaces: Surfaces, margin: float) -> np.ndarray:
    """Signed distance to the space that bowel may fill: inside the wall, off other organs."""
    cage = canvas.lift(surfaces.cage, box) + margin
    below = canvas.lift(surfaces.diaphragm, box) + 6
    taken = np.isin(canvas.organ[box], KEEP)
    # Next to an organ the bowel shows its wall.
    beside = ndimage.uniform_filter(taken.astype(np.float32), 3) > 0.02
    full = np.where(taken, np.float32(5), np.where(beside, np.float32(-1), np.float32(-50)))
    return np.maximum(np.maximum(cage, below), full)


def _fill(
    canvas: Canvas,
    box: Box,
    distance: np.ndarray,
    content: np.ndarray,
    wall: tuple[np.ndarray | float, float],
    organ: int,
) -> None:
    thick, hu = wall
    canvas.paint(box, distance, hu, organ)
    canvas.paint(box, distance + thick, content, organ)


def _paint_stomach(
    canvas: Canvas, patient: Patient, rng: np.random.Generator, oral: float
) -> None:
    full = rng.uniform(0.75, 1.25)
    line = np.array([(62, 22, -22, 30), (66, 0, -48, 36), (62, -28, -82, 33), (40, -50, -112, 25),
                     (6, -54, -122, 19), (-24, -40, -116, 13),
                     (-34, -28, -118, 9)], float)  # fmt: skip
    line[:, :3] += rng.normal(0, 5, (len(line), 3))
    line[:, 3] *= full
    found = tube_distance(canvas, chain(spline(line)))
    if found is None:
        return
    box, d = found
    p = canvas.full[box]
    folds = texture(rng, d.shape, canvas.spacing, 9.0)
    d = np.where(np.isin(canvas.organ[box], (BONE, LUNG, LIVER, SPLEEN)), 5.0, d + 0.8 * folds)
    food = texture(rng, d.shape, canvas.spacing, 6.0)
    lumpy = rng.choice([3.0, 14.0, 30.0])
    liquid = rng.uniform(8, 40) + oral + lumpy * np.clip(food, -2, 1)
    level = rng.uniform(-62, -30)
    content = np.where(p.y < level, np.float32(-980), liquid)
    _fill(canvas, box, d, content, (rng.uniform(3, 5), patient.hu["wall"]), STOMACH)


def _faeces(rng: np.random.Generator, shape: tuple, spacing: np.ndarray) -> np.ndarray:
    coarse = texture(rng, shape, spacing, 9.0)
    fine = texture(rng, shape, spacing, 3.5)
    base = rng.uniform(10, 60) + 25 * coarse
    bubbles = np.clip(fine * 0.9 + 0.4 * coarse - 0.75, 0, 1)
    return base - 800 * bubbles


def _colon_paths(rng: np.random.Generator) -> list[np.ndarray]:
    droop = rng.uniform(-190, -130)
    right = [(-92, 6, -262), (-100, 14, -225), (-102, 18, -190), (-98, 6, -165), (-82, -30, -162)]
    across = [
        (-78, -36, -160),
        (-45, -68, droop + 12),
        (0, -72, droop),
        (45, -66, droop + 14),
        (86, -34, -85),
        (104, -4, -52),
    ]
    left = [
        (106, 6, -50),
        (106, 30, -84),
        (104, 32, -130),
        (102, 34, -190),
        (96, 22, -240),
        (76, 2, -280),
    ]
    sigmoid = [
        (76, 2, -280),
        (42, -14, -300),
        (8, -12, -288),
        (-14, 22, -300),
        (2, 52, -322),
        (4, 62, -345),
        (2, 60, -385),
    ]
    sizes = (rng.uniform(20, 27), rng.uniform(15, 23), rng.uniform(11, 16), rng.uniform(11, 16))
    found = []
    for line, size in zip((right, across, left, sigmoid), sizes, strict=True):
        points = np.array(line, float) + rng.normal(0, 5, (len(line), 3))
        smooth = spline(points, 5.0)
        arc = np.arange(len(smooth)) * 5.0
        swell = 1 + 0.16 * np.sin(arc * 2 * np.pi / rng.uniform(24, 34)) + 0.1 * np.sin(arc / 31)
        found.append(np.column_stack([smooth, size * swell]))
    return found


def _paint_colon(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator
) -> None:
    for path in _colon_paths(rng):
        found = tube_distance(canvas, chain(path))
        filling = rng.choice(["faeces", "gas", "both", "fluid"], p=[0.4, 0.2, 0.3, 0.1])
        if found is None:
            continue
        box, d = found
        d = np.maximum(
            d + texture(rng, d.shape, canvas.spacing, 10.0), _free(canvas, box, surfaces, 3.0)
        )
        content = np.full(d.shape, rng.uniform(5, 30), np.float32)
        if filling in ("faeces", "both"):
            content = _faeces(rng, d.shape, canvas.spacing)
        if filling in ("gas", "both"):
            middle = np.interp(canvas.full.x[box], *_middle(path)) + rng.normal(-2, 5)
            content = np.where(canvas.full.y[box] < middle, np.float32(-985), content)
        _fill(canvas, box, d, content, (rng.uniform(1.8, 3), patient.hu["wall"] - 8), BOWEL)


def _middle(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(path[:, 0])
    return path[order, 0], path[order, 1]


def _loop(rng: np.random.Generator, start: np.ndarray, length: int) -> np.ndarray:
    """Walk smoothly within the space of the small bowel."""
    points = [start]
    direction = rng.standard_normal(3)
    for _ in range(length):
        direction = 0.72 * direction / np.linalg.norm(direction) + 0.5 * rng.standard_normal(3)
        pull = (np.array([0, -25, -225]) - points[-1]) / np.array([95, 55, 75])
        direction += 0.35 * pull * np.abs(pull)
        points.append(points[-1] + 15 * direction / np.linalg.norm(direction))
    return spline(np.array(points), 6.0)


def _paint_small_bowel(
    canvas: Canvas, patient: Patient, surfaces: Surfaces, rng: np.random.Generator, oral: float
) -> None:
    if canvas.box((-90, -80, -310), (90, 30, -150)) is None:
        return
    loops = int(rng.integers(30, 46) * (1.1 - 0.25 * patient.visceral))
    seeds = np.column_stack(
        [rng.uniform(-80, 80, loops), rng.uniform(-75, 8, loops), rng.uniform(-300, -150, loops)]
    )
    duodenum = np.array(
        [
            (-36, -24, -120),
            (-52, -6, -138),
            (-48, 6, -165),
            (-10, 2, -176),
            (30, -2, -165),
            (44, -16, -150),
        ]
    )
    paths = [spline(duodenum), *(_loop(rng, seed, int(rng.integers(6, 14))) for seed in seeds)]
    for path in paths:
        size = rng.uniform(8.5, 13.5)
        found = tube_distance(canvas, chain(np.column_stack([path, np.full(len(path), size)])))
        content = rng.uniform(8, 35) + oral * rng.uniform(0.3, 1.1)
        gas = rng.random() < 0.14
        if found is None:
            continue
        box, d = found
        folds = texture(rng, d.shape, canvas.spacing, 5.0)
        d = np.maximum(d + 0.6 * folds, _free(canvas, box, surfaces, 3.0))
        value = np.float32(content) + 9 * folds
        if gas:
            value = np.where(canvas.full.y[box] < path[:, 1].mean(), np.float32(-960), value)
        # A thin rim of fat keeps neighbouring loops apart.
        canvas.paint(box, d - 1.2, -85.0, FAT)
        _fill(
            canvas, box, d, value, (rng.uniform(2, 3.2) + 0.5 * folds, patient.hu["wall"]), BOWEL
        )


def _paint_bladder(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    size = rng.uniform(0.75, 1.4)
    low = -362.0
    box = canvas.box((-60, -75, -390), (60, 50, -270))
    if box is None:
        return
    p = canvas.full[box]
    bladder = ellipsoid(p, (0, -22, low + 26 * size), (38 * size, 30 * size, 32 * size))
    canvas.paint(box, bladder - 2.5, patient.hu["wall"], BLADDER)
    canvas.paint(box, bladder, rng.normal(6, 4), BLADDER)
    if patient.female:
        womb = ellipsoid(p, (rng.normal(0, 6), 18, -322), (24, 19, 28))
        canvas.paint(box, womb, patient.hu["wall"] + 8, MUSCLE)
    else:
        gland = ellipsoid(p, (0, 10, -372), (22, 16, 17))
        canvas.paint(box, gland, patient.hu["wall"], MUSCLE)
