"""Maps of the encoder at several shifts of its coarser grids, and the mean of what is read of them.

A voxel of a coarser map stands for two of the finest one along each axis: which two is chance. A
shift moves the coarser grids by one voxel of the finest map, and scores are averaged over shifts:
cycle spinning (Coifman and Donoho, Translation-Invariant De-Noising, 1995). The first stage, which
costs the most, is the same in all of them.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ctscreener.encoder import STEM_STRIDE, Encoder
from ctscreener.heads import Maps, Source
from ctscreener.scan import Shape
from ctscreener.scorer import Step

SLAB = 24
"""Slices of the first stage's map in one slab."""
SHIFTS: dict[int, tuple[Shape, ...]] = {
    1: ((0, 0, 0),),
    2: ((0, 0, 0), (1, 1, 1)),
    4: ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)),
}
"""Where the coarser grids begin, in voxels of the finest map: as far apart as so many can be."""
Box = tuple[slice, slice, slice]


def finest(shape: Sequence[int]) -> Shape:
    """Voxels of the finest map of an image."""
    d, h, w = (-(-n // unit) for n, unit in zip(shape, STEM_STRIDE, strict=True))
    return d, h, w


def on_finest(body: np.ndarray) -> np.ndarray:
    """Voxels of the finest map that lie in the body, bool."""
    return body[tuple(slice(None, None, unit) for unit in STEM_STRIDE)]


def encode(encoder: Encoder, x: Tensor, sources: Sequence[Source], step: Step) -> Maps:
    """The maps of an image that are asked for, averaged over no cube.

    Arguments:
        encoder: In evaluation mode.
        x: The image, scaled to 0..1, `(1, 1, D, H, W)`.
        sources: Which maps.
        step: Told about every step.

    Returns:
        `(1, C, d, h, w)` of each source; of one stage and resolution they are the same tensor.
    """
    return next(encode_shifts(encoder, x, sources, 1, step))[1]


@torch.inference_mode()
def encode_shifts(
    encoder: Encoder, x: Tensor, sources: Sequence[Source], shifts: int, step: Step
) -> Iterator[tuple[Box, Maps]]:
    """The maps of an image at each shift, one after the other.

    Arguments:
        encoder: In evaluation mode.
        x: The image, scaled to 0..1, `(1, 1, D, H, W)`.
        sources: Which maps.
        shifts: How many, of `SHIFTS`.
        step: Told about every step.

    Yields:
        Which part of the finest map they are of, all but the first voxels along some axes; and the
        maps of that part, as `encode` gives them. An image too small for a shift has it not.
    """
    wanted = [shift for shift in SHIFTS[shifts] if not any(shift) or _has(x.shape[2:], shift)]
    views = sorted({source.half for source in sources})
    total, done = 2 * len(views) * len(wanted), 0
    # Kept over all shifts, which only begin elsewhere in it.
    first = encoder.first_in_slabs(x, SLAB) if False in views else x
    for shift in wanted:
        here = box(shift)
        stages: dict[tuple[bool, int], Tensor] = {}
        for half in views:
            begun = _first_of_half(encoder, x, shift) if half else first[:, :, *here]
            step(done := done + 1, total)
            last = max(source.stage for source in sources if source.half == half)
            for number, z in enumerate(encoder.onwards(begun, last)):
                stages[half, number] = z
            step(done := done + 1, total)
        yield here, {source: stages[source.half, source.stage] for source in sources}


def _has(shape: Sequence[int], shift: Shape) -> bool:
    """Whether two voxels of an image, which can be halved, are left beyond a shift."""
    return all(n - begin >= 2 for n, begin in zip(shape, in_voxels(shift), strict=True))


def in_voxels(shift: Shape) -> Shape:
    """Where a shift begins in the image."""
    d, h, w = (unit * n for unit, n in zip(STEM_STRIDE, shift, strict=True))
    return d, h, w


def _first_of_half(encoder: Encoder, x: Tensor, shift: Shape) -> Tensor:
    """The first stage's map of an image at half of its resolution, from a shift on."""
    x = x[:, :, *box(in_voxels(shift))]
    half = F.avg_pool3d(x, 2, 2, ceil_mode=True, count_include_pad=False)
    return encoder.first_in_slabs(half, SLAB)


def box(begin: Sequence[int]) -> Box:
    """All from some voxel on."""
    d, h, w = begin
    return slice(d, None), slice(h, None), slice(w, None)


def mean_over_shifts(
    shifts: Iterator[tuple[Box, Maps]], size: Shape, read: Callable[[Maps, Box], Tensor]
) -> Tensor:
    """Average what is read of the maps over all shifts that a voxel has.

    Arguments:
        shifts: What `encode_shifts` gives.
        size: Voxels of the finest map.
        read: What is read of maps, float32, `(..., d, h, w)`; told which part they are of.

    Returns:
        `(..., *size)`, float32.
    """
    here, maps = next(shifts)
    total = read(maps, here)
    count = total.new_ones(size)
    # Before the next shift's are made: those of two would need twice the memory.
    del maps
    for here, maps in shifts:
        total[..., *here] += read(maps, here)
        count[here] += 1
        del maps
    return total / count
