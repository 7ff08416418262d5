"""Smooth random fields, and cheap separable interpolation from a coarse grid to a fine one."""

import numpy as np


def cubic_matrix(fine: np.ndarray, nodes: int) -> np.ndarray:
    """Rows that interpolate values on integer nodes with Catmull-Rom cubics.

    Straight lines are kept exactly wherever two nodes lie on either side.

    Arguments:
        fine: Positions in units of coarse nodes, `(n,)`.
        nodes: Number of coarse nodes.

    Returns:
        Weights, float32, `(n, nodes)`; every row sums to 1.

    Example:
        >>> cubic_matrix(np.array([1.5]), 4).round(4).tolist()
        [[-0.0625, 0.5625, 0.5625, -0.0625]]
    """
    base = np.floor(fine).astype(int)
    t = fine - base
    weights = (
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )
    matrix = np.zeros((len(fine), nodes), np.float32)
    rows = np.arange(len(fine))
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        np.add.at(matrix, (rows, np.clip(base + offset, 0, nodes - 1)), weight)
    return matrix


def stretch(coarse: np.ndarray, along: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Interpolate a coarse volume with one matrix an axis.

    Arguments:
        coarse: Values, `(d, h, w)`.
        along: Matrices `(D, d)`, `(H, h)`, `(W, w)`.

    Returns:
        Values, float32, `(D, H, W)`.
    """
    rows, lines, columns = along
    wide = coarse.astype(np.float32) @ columns.T
    tall = np.matmul(lines, wide)
    flat = rows @ tall.reshape(len(tall), -1)
    return flat.reshape(len(rows), len(lines), len(columns))


def smooth_field(
    rng: np.random.Generator, extent: np.ndarray, positions: tuple, wavelength: float
) -> np.ndarray:
    """Draw a smooth random field of about unit variance on a grid.

    Arguments:
        rng: Where the randomness comes from.
        extent: Length of the axes in mm, `(3,)`.
        positions: Where it is evaluated: mm along each axis, three vectors.
        wavelength: Distance of the random nodes in mm.

    Returns:
        The field, float32, `(D, H, W)`.
    """
    nodes = np.ceil(extent / wavelength).astype(int) + 4
    coarse = rng.standard_normal(nodes).astype(np.float32) * 1.5
    along = [
        cubic_matrix(np.asarray(p) / wavelength + 1, n)
        for p, n in zip(positions, nodes, strict=True)
    ]
    return stretch(coarse, (along[0], along[1], along[2]))


def texture(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: np.ndarray, wavelength: float
) -> np.ndarray:
    """Draw a smooth random field over a box of voxels.

    Arguments:
        rng: Where the randomness comes from.
        shape: Voxels along `(D, H, W)`.
        spacing: Voxel size in mm along `(D, H, W)`, `(3,)`.
        wavelength: Distance of the random nodes in mm; at least the voxel size is used.

    Returns:
        The field, float32, mean 0, about unit variance, `(D, H, W)`.
    """
    positions = tuple(np.arange(n) * s for n, s in zip(shape, spacing, strict=True))
    extent = np.array(shape) * np.asarray(spacing)
    return smooth_field(rng, extent, positions, wavelength)


def curve(z: np.ndarray, table: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Evaluate a piecewise linear profile along the body.

    Arguments:
        z: Height in mm, any shape.
        table: Pairs of (height, value), heights in any order.

    Returns:
        Values, float32, shaped as `z`.

    Example:
        >>> curve(np.array([5.0]), ((0, 1), (10, 3))).tolist()
        [2.0]
    """
    ordered = sorted(table)
    heights = [height for height, _ in ordered]
    values = [value for _, value in ordered]
    return np.interp(z, heights, values).astype(np.float32)


def smooth_max(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Take the larger of two distances with a rounded edge.

    Arguments:
        a: Signed distances in mm.
        b: Signed distances in mm, broadcast against `a`.
        radius: Rounding in mm.

    Returns:
        Signed distances in mm, never below the plain maximum.

    Example:
        >>> float(smooth_max(np.array(0.0), np.array(0.0), 4.0))
        1.0
    """
    blend = np.maximum(radius - np.abs(a - b), 0) / radius
    return np.maximum(a, b) + blend * blend * (radius / 4)


def smooth_min(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Take the smaller of two distances with a rounded edge: see `smooth_max`."""
    return -smooth_max(-a, -b, radius)
