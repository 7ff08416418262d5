"""How many tiles a scan has, foreseen from voxels some millimetres apart."""

import numpy as np

from ctscreener import tiles
from ctscreener.ct_checks import MIN_SLICES
from ctscreener.scan import Scan
from ScreenerSlicerLib.preflight.models import Tiling

SAMPLE_MM = 7.5
TISSUE_HU = -500.0

Bounds = tuple[float, float, float, float, float, float]
"""Lowest and highest R, A, S in mm."""


def sampled(scan: Scan) -> Scan:
    """Take voxels some millimetres apart, but enough along every axis for the engine's rules.

    Returns:
        A copy with an affine of its own.
    """
    spacing = np.nan_to_num(scan.spacing, nan=1.0, posinf=1.0).clip(1e-3)
    wanted = np.maximum(1, np.round(SAMPLE_MM / spacing)).astype(int)
    most = [max(1, n // MIN_SLICES) for n in scan.shape]
    d, h, w = (int(step) for step in np.minimum(wanted, most))
    affine = scan.affine.copy()
    affine[:3, :3] *= (d, h, w)
    return Scan(np.ascontiguousarray(scan.hu[::d, ::h, ::w]), affine)


def tissue_points(sample: Scan) -> np.ndarray:
    """Find the body in a sample: where all corners of a cube are tissue, no table plate is.

    Arguments:
        sample: What `sampled` returned.

    Returns:
        The corners of these cubes, RAS mm, `(N, 3)`.
    """
    dense = sample.hu > TISSUE_HU
    cube = dense[:-1, :-1, :-1].copy()
    corners = [(d, h, w) for d in (0, 1) for h in (0, 1) for w in (0, 1)]
    at = [tuple(slice(i, n - 1 + i) for i, n in zip(c, dense.shape, strict=True)) for c in corners]
    for place in at:
        cube &= dense[place]
    body = np.zeros_like(dense)
    for place in at:
        body[place] |= cube
    index = np.stack(np.nonzero(body)).astype(np.float32)
    affine = sample.affine.astype(np.float32)
    return (affine[:3, :3] @ index + affine[:3, 3:]).T


def within(points: np.ndarray, region: Bounds | None) -> np.ndarray:
    """Leave out points that are not in a region; none when it is None."""
    if region is None:
        return points
    return points[((points >= region[::2]) & (points <= region[1::2])).all(axis=1)]


def count_tiles(
    points: np.ndarray, model: Tiling, overlap: float, region: Bounds | None = None
) -> int:
    """Foresee how many tiles the engine will run, from the same boxes on a coarse body.

    Arguments:
        points: Points of the body, RAS mm, `(N, 3)`.
        model: Voxels and tiles of the model.
        overlap: Share of a tile that the next one covers again.
        region: The only part to score, R, A, S in mm; None for all.
    """
    spacing = np.array(model.spacing, np.float32)
    # In the engine's frame D, H, W run along S, A, R up to a sign, which does not matter here.
    at = points[:, ::-1] / spacing
    low, high = at.min(axis=0), at.max(axis=0)
    extent = np.ceil((high - low) / model.multiple).astype(int) * model.multiple
    shape = np.maximum(extent, model.tile)
    index = np.minimum((at - low).astype(int), shape - 1)
    if region is not None:
        inside = (points >= region[::2]) & (points <= region[1::2])
        index = index[inside.all(axis=1)]
    # A cell per pooled voxel: tiles and their steps are whole numbers of these.
    cells = np.zeros(tuple(int(n) for n in shape // model.multiple), bool)
    cells[tuple((index // model.multiple).T)] = True
    d, h, w = (int(n) for n in shape)
    step = tiles.step(model.tile, overlap, model.multiple)
    boxes = tiles.boxes((d, h, w), model.tile, step)
    return sum(bool(cells[tiles.pooled(box, model.multiple)].any()) for box in boxes)
