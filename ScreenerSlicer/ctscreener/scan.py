"""A CT scan: voxels in Hounsfield units that never travel without their place in the patient.

Convention, everywhere in this project: arrays are `(D, H, W)`; an affine is 4x4 and maps a voxel
index `(d, h, w, 1)` to millimetres in RAS (right, anterior, superior are positive).
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

CANONICAL = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Directions in RAS of the canonical axes, one a row: D to superior, H to posterior, W to left."""


Shape = tuple[int, int, int]
"""Voxels along `(D, H, W)`."""
Box = tuple[slice, slice, slice]
"""A block of voxels: from where to where along `(D, H, W)`."""

# Two grids are one when no voxel is further off than this part of a voxel.
SAME_PLACE = 0.1


@dataclass(frozen=True)
class Scan:
    """Voxels in HU with their affine.

    Arguments:
        hu: Hounsfield units, float32 `(D, H, W)`; int16 where a long scan has to fit into memory.
        affine: Voxel index `(d, h, w, 1)` to RAS mm, float64, `(4, 4)`.
    """

    hu: np.ndarray
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along `(D, H, W)`."""
        depth, height, width = self.hu.shape
        return depth, height, width

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring voxels along `(D, H, W)` in mm, `(3,)`."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def same_grid(
    shape: tuple[int, ...], affine: np.ndarray, other: tuple[int, ...], other_affine: np.ndarray
) -> bool:
    """Tell whether two grids have their voxels in the same places.

    Arguments:
        shape: Voxels of the one, `(D, H, W)`.
        affine: Its affine, `(4, 4)`.
        other: Voxels of the other, `(D, H, W)`.
        other_affine: Its affine, `(4, 4)`.

    Returns:
        True when the shapes agree and no corner is off by more than a tenth of a voxel.
    """
    if tuple(shape) != tuple(other):
        return False
    corners = np.array([[d, h, w] for d in (0, 1) for h in (0, 1) for w in (0, 1)])
    points = np.column_stack([corners * (np.array(shape) - 1), np.ones(8)])
    apart = np.linalg.norm((affine - other_affine) @ points.T, axis=0).max()
    return bool(apart <= SAME_PLACE * np.linalg.norm(affine[:3, :3], axis=0).min())


def canonical_view(scan: Scan) -> Scan:
    """Look at a scan as `reoriented_to_canonical` turns it, without a copy of its voxels."""
    order, flipped = _turn(scan.affine)
    index = np.zeros((4, 4))
    index[3, 3] = 1.0
    for axis, (source, flip) in enumerate(zip(order, flipped, strict=True)):
        index[source, axis] = -1.0 if flip else 1.0
        index[source, 3] = scan.shape[source] - 1 if flip else 0.0
    return Scan(scan.hu.transpose(order)[_directions(flipped)], scan.affine @ index)


def reoriented_to_canonical(scan: Scan) -> Scan:
    """Turn a scan by axis swaps and flips until it is as near the canonical frame as they bring it.

    No voxel is interpolated: every one keeps its value and its place in the patient. An oblique
    scan stays oblique, by at most 45 degrees or so.

    Arguments:
        scan: A scan whose axes run in any direction, left-handed ones included.

    Returns:
        The same voxels with D nearest superior, H nearest posterior and W nearest left.

    Example:
        >>> upside_down = Scan(np.zeros((2, 3, 4), np.float32), np.diag([1.0, 1.0, -1.0, 1.0]))
        >>> turned = reoriented_to_canonical(upside_down)
        >>> turned.shape
        (4, 3, 2)
        >>> turned.affine[:3, 3]
        array([ 1.,  2., -3.])
    """
    view = canonical_view(scan)
    return Scan(np.ascontiguousarray(view.hu), view.affine)


def restore_axes(values: np.ndarray, scan: Scan) -> np.ndarray:
    """Bring values on the grid of `reoriented_to_canonical(scan)` back to the scan's own axes.

    Arguments:
        values: One value a voxel of the turned scan, any type, `(D', H', W')`.
        scan: The scan as it was before it was turned.

    Returns:
        The same values, in the shape of `scan.hu`.
    """
    order, flipped = _turn(scan.affine)
    assert values.shape == tuple(scan.shape[axis] for axis in order), "grid of another scan"
    return np.ascontiguousarray(values[_directions(flipped)].transpose(np.argsort(order)))


def _turn(affine: np.ndarray) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Which axis of a grid serves as each canonical axis, and whether it runs the other way."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = CANONICAL @ directions
    order = max(permutations(range(3)), key=lambda axes: np.abs(cosines[range(3), axes]).sum())
    return order, tuple(bool(cosines[axis, source] < 0) for axis, source in enumerate(order))


def _directions(flipped: tuple[bool, ...]) -> tuple[slice, ...]:
    """Index that runs the other way along the axes that are flipped."""
    return tuple(slice(None, None, -1 if flip else 1) for flip in flipped)
