"""The diameter of a region of voxels."""

from itertools import combinations

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist


def diameter(index: np.ndarray, affine: np.ndarray) -> float:
    """Measure the longest straight line through voxels, from edge to edge.

    It goes through the two centres that are farthest apart, from where it enters the first voxel
    to where it leaves the last. For one voxel it is the longest edge.

    Arguments:
        index: Voxels in ascending order, `(n, 3)`.
        affine: Voxel index to mm, `(4, 4)`.

    Returns:
        Its length in mm.
    """
    corners = hull_corners(index)
    if len(corners) == 1:
        return float(np.linalg.norm(affine[:3, :3], axis=0).max())
    apart = pdist(corners @ affine[:3, :3].T)
    # The line crosses half of either end voxel: half a step along its longest index axis.
    steps = pdist(corners, "chebyshev")
    farthest = apart >= apart.max() * (1 - 1e-9)
    return float((apart * (1 + 1 / steps))[farthest].max())


def hull_corners(index: np.ndarray) -> np.ndarray:
    """Find the corners of the convex hull of voxels `(n, 3)`, ascending: the only possible ends."""
    new_row = np.any(np.diff(index[:, :2], axis=0, prepend=-1) != 0, axis=1)
    ends = index[new_row | np.append(new_row[1:], True)].astype(np.float64)
    rank = int(np.linalg.matrix_rank(ends - ends[0]))
    if rank == 0:
        return ends[:1]
    # A flat region has a hull only in its plane; seen along a suitable axis it keeps its corners.
    axes = next(
        list(some)
        for some in combinations(range(3), rank)
        if np.linalg.matrix_rank((ends - ends[0])[:, some]) == rank
    )
    if rank == 1:
        along = ends[:, axes[0]]
        return ends[[along.argmin(), along.argmax()]]
    return ends[ConvexHull(ends[:, axes]).vertices]
