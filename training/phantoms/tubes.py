"""Tubes: distances to chains of tapering capsules, for vessels, bowel and thin bones."""

import numpy as np

from ctscreener.scan import Box
from training.phantoms.canvas import Canvas

FAR = 1e3


def spline(points: list | np.ndarray, step: float = 6.0) -> np.ndarray:
    """Smooth a chain of points with Catmull-Rom cubics.

    Arguments:
        points: Control points with any number of columns, such as `(x, y, z, radius)`, `(n, k)`.
        step: Distance of the new points in mm, measured in the first three columns.

    Returns:
        Points, float64, `(m, k)`.
    """
    given = np.asarray(points, float)
    padded = np.vstack([2 * given[0] - given[1], given, 2 * given[-1] - given[-2]])
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        count = max(int(np.linalg.norm((p2 - p1)[:3]) / step), 1)
        t = (np.arange(count) / count)[:, None]
        pieces.append(
            p1
            + 0.5 * t * (p2 - p0)
            + t**2 * (p0 - 2.5 * p1 + 2 * p2 - 0.5 * p3)
            + 0.5 * t**3 * (3 * (p1 - p2) + p3 - p0)
        )
    return np.vstack([*pieces, given[-1:]])


def chain(points: np.ndarray) -> np.ndarray:
    """Turn `(x, y, z, radius)` rows into segments `(x, y, z, r, x, y, z, r)`."""
    return np.hstack([points[:-1], points[1:]])


def _segment(canvas: Canvas, row: np.ndarray, box: Box) -> np.ndarray:
    a, b = row[:3].astype(np.float32), row[4:7].astype(np.float32)
    along = b - a
    length = max(float(along @ along), 1e-6)
    where = canvas.full[box]
    x, y, z = where.x - a[0], where.y - a[1], where.z - a[2]
    t = np.clip((x * along[0] + y * along[1] + z * along[2]) * np.float32(1 / length), 0, 1)
    x -= t * along[0]
    y -= t * along[1]
    z -= t * along[2]
    t *= np.float32(row[7] - row[3])
    t += np.float32(row[3])
    return np.sqrt(x * x + y * y + z * z) - t


def _boxes(canvas: Canvas, rows: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    first = canvas.voxels(rows[:, :3])
    last = canvas.voxels(rows[:, 4:7])
    room = (np.maximum(rows[:, 3], rows[:, 7])[:, None] + reach) / canvas.spacing * 1.15 + 0.5
    return np.minimum(first, last) - room, np.maximum(first, last) + room


def tube_distance(
    canvas: Canvas, rows: np.ndarray, reach: float = 4.0
) -> tuple[Box, np.ndarray] | None:
    """Signed distance to a set of capsules.

    Arguments:
        canvas: Gives the coordinates.
        rows: Segments `(x, y, z, r, x, y, z, r)` in mm, `(n, 8)`.
        reach: How far from the surface distances are computed, mm; beyond it they are large.

    Returns:
        The box around all capsules and the distance in mm in it; None where all are outside.
    """
    low, high = _boxes(canvas, rows, reach)
    outer = canvas.clip(low.min(0), high.max(0))
    if outer is None:
        return None
    distance = np.full([s.stop - s.start for s in outer], FAR, np.float32)
    for row, start, stop in zip(rows, low, high, strict=True):
        box = canvas.clip(start, stop)
        if box is None:
            continue
        at = tuple(
            slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True)
        )
        np.minimum(distance[at], _segment(canvas, row, box), out=distance[at])
    return outer, distance


def vessel_weight(canvas: Canvas, rows: np.ndarray) -> tuple[Box, np.ndarray] | None:
    """Share of each voxel that thin vessels fill.

    A vessel thinner than a voxel fades instead of growing to a voxel's width.

    Arguments:
        canvas: Gives the coordinates.
        rows: Segments `(x, y, z, r, x, y, z, r)` in mm, `(n, 8)`.

    Returns:
        The box around all vessels and the share, 0 to 1; None where all are outside.
    """
    low, high = _boxes(canvas, rows, canvas.soft)
    outer = canvas.clip(low.min(0), high.max(0))
    if outer is None:
        return None
    share = np.zeros([s.stop - s.start for s in outer], np.float32)
    for row, start, stop in zip(rows, low, high, strict=True):
        box = canvas.clip(start, stop)
        if box is None:
            continue
        at = tuple(
            slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True)
        )
        strength = min(1.0, (2 * max(row[3], row[7]) / canvas.soft) ** 1.3)
        weight = canvas.weight(_segment(canvas, row, box)) * np.float32(strength)
        np.maximum(share[at], weight, out=share[at])
    return outer, share


def paint_tubes(
    canvas: Canvas, rows: np.ndarray, value: np.ndarray | float, organ: int = -1
) -> None:
    """Paint capsules in one tissue; see `tube_distance` for the rows."""
    found = vessel_weight(canvas, rows)
    if found is not None:
        canvas.blend(found[0], found[1], value, organ)


def grow_tree(
    rng: np.random.Generator,
    root: np.ndarray,
    ends: np.ndarray,
    tip: float = 0.6,
    power: float = 2.7,
    step: float = 9.0,
) -> np.ndarray:
    """Grow a branching vessel that reaches given points.

    Each point, nearest first, joins the closest place of the tree so far, in a slightly
    crooked line; radii follow Murray's law with the given power.

    Arguments:
        rng: Where the randomness comes from.
        root: Chain of `(x, y, z)` where the tree starts, `(m, 3)`.
        ends: Points to reach, `(n, 3)`.
        tip: Radius at the ends in mm.
        power: Exponent of Murray's law.
        step: Longest straight piece in mm.

    Returns:
        Segments `(x, y, z, r, x, y, z, r)`, `(k, 8)`.
    """
    nodes = [np.asarray(p, float) for p in root]
    parents = [-1, *range(len(nodes) - 1)]
    order = np.argsort(np.linalg.norm(ends - nodes[-1], axis=1))
    first = len(nodes) - 1
    for end in ends[order]:
        have = np.array(nodes[first:])
        out = np.linalg.norm(have - nodes[first], axis=1)
        # Favouring places near the root straightens the paths to the hilum.
        parent = first + int(np.argmin(np.linalg.norm(have - end, axis=1) + 0.35 * out))
        start = nodes[parent]
        length = float(np.linalg.norm(end - start))
        count = max(int(length / step), 1)
        bend = rng.standard_normal(3) * length * 0.07
        for i in range(1, count + 1):
            t = i / count
            nodes.append(start + t * (end - start) + 4 * t * (1 - t) * bend)
            parents.append(parent if i == 1 else len(nodes) - 2)
    load = np.zeros(len(nodes))
    has_child = np.zeros(len(nodes), bool)
    has_child[[p for p in parents if p >= 0]] = True
    load[~has_child] = tip**power
    for i in range(len(nodes) - 1, 0, -1):
        load[parents[i]] += load[i]
    radius = load ** (1 / power)
    points = np.array(nodes)
    child = np.arange(1, len(nodes))
    parent = np.array(parents[1:])
    near = np.minimum(radius[parent], radius[child] * 1.15)
    return np.column_stack([points[parent], near, points[child], radius[child]])
