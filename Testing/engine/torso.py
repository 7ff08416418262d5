"""A synthetic torso that is a function of the place in the patient, so that any grid can hold it."""

import numpy as np

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import CANONICAL, Scan

COARSE = PreprocessSettings(spacing=(4.5, 3.0, 3.0))
"""Preprocessing at half the usual resolution: an eighth of the voxels."""
SHAPE = (60, 64, 64)
SPACING = (4.0, 4.0, 4.0)
EDGE_MM = 3.0
"""Surfaces are this soft: a grid of 4 mm then holds them nearly as well as any other."""
LUNG_RAS = ((38.0, 5.0, 0.0), (-38.0, 5.0, 0.0))
ARM_RAS = (85.0, 85.0, 0.0)
ARM_MM = 24
TABLE_RAS = (0.0, -91.0, 0.0)


def canonical_affine(
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """The affine of a grid in the canonical frame around a point in RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL.T * spacing
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def turned(
    affine: np.ndarray, degrees: float, axis: int, shape: tuple[int, int, int]
) -> np.ndarray:
    """An affine turned about a RAS axis through the centre of its grid."""
    a, b = (other for other in range(3) if other != axis)
    turn = np.eye(3)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn[[a, b, a, b], [a, b, b, a]] = cos, cos, -sin, sin
    middle = (np.array(shape) - 1) / 2
    centre = affine[:3, :3] @ middle + affine[:3, 3]
    result = np.eye(4)
    result[:3, :3] = turn @ affine[:3, :3]
    result[:3, 3] = centre - result[:3, :3] @ middle
    return result


def world(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """RAS mm of every voxel, `(3, D, H, W)`."""
    index = np.indices(shape).reshape(3, -1)
    return (affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape)


def torso(
    affine: np.ndarray | None = None,
    shape: tuple[int, int, int] = SHAPE,
    lung_half_length: float = 80.0,
    upper_end: float = 1e3,
) -> Scan:
    """A trunk with two lungs, a spine, one arm and a table under it.

    Arguments:
        affine: Voxel index to RAS mm; the canonical frame around the origin by default.
        shape: Voxels along `(D, H, W)`.
        lung_half_length: Half the length of the lungs from foot to head, in mm.
        upper_end: Above this height the patient is not, in mm.
    """
    affine = canonical_affine(shape) if affine is None else affine
    r, a, s = world(affine, shape)
    # Waves of 25 to 60 mm are the texture that makes one place look unlike the next.
    tissue = 40 + 60 * np.sin(r / 9) * np.cos(a / 7) + 40 * np.sin(s / 8 + r / 20)
    hu = np.full(shape, -1000.0)
    hu = blend(hu, tissue, 1 - np.hypot(r / 90, a / 70), 70)
    hu = blend(hu, tissue, 1 - np.hypot(r - ARM_RAS[0], a - ARM_RAS[1]) / ARM_MM, ARM_MM)
    hu = blend(hu, 700 + tissue, 1 - np.hypot(r, a + 50) / 11, 11)
    for right, anterior, _ in LUNG_RAS:
        radius = np.sqrt(
            ((r - right) / 28) ** 2 + ((a - anterior) / 40) ** 2 + (s / lung_half_length) ** 2
        )
        hu = blend(hu, -850 + 0.3 * tissue, 1 - radius, 28)
    hu = blend(hu, np.full(shape, -1000.0), s - upper_end, 1)
    table = (np.abs(a - TABLE_RAS[1]) <= 2.5) & (np.abs(r) < 80)
    return Scan(np.where(table, 100, hu).astype(np.float32), affine)


def blend(under: np.ndarray, over: np.ndarray, depth: np.ndarray, scale: float) -> np.ndarray:
    """Lay a thing with soft edges over another, where its `depth * scale` in mm is above 0."""
    share = np.clip(depth * scale / EDGE_MM + 0.5, 0, 1)
    return under + share * (over - under)


def in_other_axes(scan: Scan, order: tuple[int, int, int], flips: tuple[int, int, int]) -> Scan:
    """The same voxels in the same places, with axes swapped and then turned round.

    Arguments:
        scan: The scan.
        order: Which old axis each new axis is.
        flips: 1 or -1 for each new axis.
    """
    index = np.zeros((4, 4))
    index[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        index[old, new] = flip
        index[old, 3] = 0 if flip > 0 else scan.shape[old] - 1
    hu = scan.hu.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
    return Scan(np.ascontiguousarray(hu), scan.affine @ index)


def index_of(affine: np.ndarray, ras: tuple[float, float, float]) -> tuple[int, ...]:
    """The voxel at a place in RAS mm."""
    return tuple(np.rint(np.linalg.solve(affine, [*ras, 1.0])[:3]).astype(int).tolist())


AXES = [
    ((0, 1, 2), (1, 1, -1)),
    ((0, 1, 2), (-1, 1, 1)),
    ((2, 1, 0), (-1, -1, 1)),
    ((1, 2, 0), (1, -1, -1)),
    ((1, 0, 2), (1, 1, 1)),
]
"""Flipped, left-handed and permuted ways to store one scan."""
