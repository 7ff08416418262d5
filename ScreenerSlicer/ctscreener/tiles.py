"""Tiles: a volume cut into overlapping boxes, and their results joined by a weighted average.

The paper averages plainly. Towards its faces a network sees less of what surrounds a voxel, so here
weights fall from the middle of a tile to its faces, linearly along each axis: at an overlap of a
half that comes nearer to what tiles at every place would give than plain averages at three quarters
do, for an eighth of the work (training/LOG.md).
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from ctscreener.scan import Box, Shape


def boxes(shape: Shape, size: Shape, stride: Shape) -> Iterator[Box]:
    """Boxes of `size` voxels that together cover a volume.

    Neighbours are `stride` voxels apart; the last box along an axis is moved back so that it
    ends at the border, since padding would show the network voxels that no scanner measured.

    Arguments:
        shape: The volume, as (D, H, W) in voxels.
        size: One box, as (D, H, W) in voxels; no larger than the volume.
        stride: The step along each axis, in voxels; no larger than the box.

    Example:
        >>> [box[2] for box in boxes((4, 4, 7), (4, 4, 4), (4, 4, 2))]
        [slice(0, 4, None), slice(2, 6, None), slice(3, 7, None)]
    """
    if any(tile > extent for tile, extent in zip(size, shape, strict=True)):
        raise ValueError(f"A tile must fit into the volume: got {size} for {shape}.")
    if any(not 0 < step <= tile for step, tile in zip(stride, size, strict=True)):
        raise ValueError(f"A stride must be in 1..size: got {stride} for {size}.")
    starts = [
        [*range(0, extent - tile, step), extent - tile]
        for extent, tile, step in zip(shape, size, stride, strict=True)
    ]
    for d, h, w in product(*starts):
        yield slice(d, d + size[0]), slice(h, h + size[1]), slice(w, w + size[2])


def step(size: Shape, overlap: float, multiple: Shape) -> Shape:
    """The stride of tiles that overlap by a share of their size.

    Arguments:
        size: One tile, as (D, H, W) in voxels.
        overlap: Share of a tile that the next one covers again, in 0..0.9.
        multiple: The stride is a multiple of this, so that pooled results of tiles line up.

    Example:
        >>> step((64, 96, 96), 0.5, (2, 3, 3))
        (32, 48, 48)
    """
    if not 0 <= overlap <= 0.9:
        raise ValueError(f"Tiles must overlap by a share in 0..0.9: got {overlap}.")
    d, h, w = (
        max(unit, int(extent * (1 - overlap)) // unit * unit)
        for extent, unit in zip(size, multiple, strict=True)
    )
    return d, h, w


def pooled(box: Box, stride: Shape) -> Box:
    """The box on a grid that is coarser by `stride`; the box must line up with it."""
    if any(side.start % unit or side.stop % unit for side, unit in zip(box, stride, strict=True)):
        raise ValueError(f"The box must lie on multiples of {stride}: got {box}.")
    d, h, w = (
        slice(side.start // unit, side.stop // unit)
        for side, unit in zip(box, stride, strict=True)
    )
    return d, h, w


def weights(size: Shape) -> np.ndarray:
    """Weights of a tile's voxels: the product over axes of the distance to the nearer face.

    Arguments:
        size: The tile, as (D, H, W) in voxels.

    Returns:
        float64, from 1 up, `(D, H, W)`.

    Example:
        >>> weights((1, 1, 5)).tolist()
        [[[1.0, 3.0, 5.0, 3.0, 1.0]]]
    """
    # Odd numbers, not halves: sums of whole numbers of a float32 lose no digit.
    d, h, w = (np.minimum(at := 2.0 * np.arange(n) + 1, at[::-1]) for n in size)
    return d[:, None, None] * h[:, None] * w


class Average:
    """The weighted mean of overlapping results, the same for every order in which they come.

    Arguments:
        shape: The volume, as (D, H, W) in voxels.
    """

    def __init__(self, shape: Shape) -> None:
        # float64 sums of float32 values: the order of tiles changes no digit that is kept.
        self.sum = np.zeros(shape, np.float64)
        self.weight = np.zeros(shape, np.float64)

    def add(self, box: Box, values: np.ndarray) -> None:
        """Add the result of one tile; NaN where it has none."""
        scored, weight = np.isfinite(values), weights(values.shape)
        self.sum[box] += np.where(scored, values, 0) * weight
        self.weight[box] += scored * weight

    def mean(self) -> np.ndarray:
        """The average of what was added, float32, NaN where nothing was."""
        with np.errstate(invalid="ignore"):
            return (self.sum / self.weight).astype(np.float32)
