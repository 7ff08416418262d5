"""Ellipsoids, and points drawn from a region."""

import numpy as np

from ctscreener.scan import Box
from training.phantoms.canvas import Canvas, Place


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
