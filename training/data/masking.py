"""Masks that hide blocks of a crop, so that a condition cannot tell what was there."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class MaskSettings:
    """How a crop is hidden in part."""

    chance: float = 0.5
    """Chance that a crop is masked at all."""
    ratio: float = 0.6
    """Share of the blocks that a mask hides."""
    least: tuple[int, int, int] = (8, 12, 12)
    """Smallest block along D, H, W in voxels."""
    largest: tuple[int, int, int] = (16, 24, 24)
    """Largest block along D, H, W in voxels."""


def draw_masks(
    rng: np.random.Generator, count: int, size: tuple[int, int, int], settings: MaskSettings
) -> np.ndarray:
    """Draw a mask for each crop: a grid of blocks with a random phase, of which some are hidden.

    Arguments:
        rng: The source of chance.
        count: Crops `B`.
        size: Voxels of a crop.
        settings: How crops are hidden.

    Returns:
        1 where a voxel can be seen and 0 where it is hidden, uint8, `(B, 1, D, H, W)`.
    """
    masks = np.ones((count, 1, *size), dtype=np.uint8)
    for mask in masks[:, 0]:
        if rng.random() < settings.chance:
            mask[:] = _draw_mask(rng, size, settings)
    return masks


def hide(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Give a condition network its two channels: what can be seen, and where one can see.

    Arguments:
        images: `(B, 1, D, H, W)`.
        masks: 1 visible, 0 hidden, `(B, 1, D, H, W)`.

    Returns:
        `(B, 2, D, H, W)`.
    """
    seen = masks.to(images.dtype)
    return torch.cat([images * seen, seen], dim=1)


def _draw_mask(
    rng: np.random.Generator, size: tuple[int, int, int], settings: MaskSettings
) -> np.ndarray:
    """Draw one mask, uint8, `(D, H, W)`."""
    block = rng.integers(settings.least, settings.largest, endpoint=True)
    phase = rng.integers(0, block)
    cells = -(-(np.asarray(size) + phase) // block)
    hidden = np.zeros(int(np.prod(cells)), dtype=bool)
    hidden[: round(settings.ratio * hidden.size)] = True
    grid = rng.permutation(hidden).reshape(cells)
    for axis in range(3):
        where = (np.arange(size[axis]) + phase[axis]) // block[axis]
        grid = np.take(grid, where, axis=axis)
    return (~grid).astype(np.uint8)
