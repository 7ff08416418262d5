"""What the frozen networks say of many tiles, computed once: the density trains on draws of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
import torch
from torch import Tensor

from ctscreener import tiles
from ctscreener.model import ModelSettings, Networks
from ctscreener.scan import Shape
from ctscreener.tiled import autocast, batch_of, body_tiles, padded, pooled_mask
from training.data.store import Store
from training.loop import processes

BLOCK = 8
"""Tiles that go through the frozen networks together."""


@dataclass(frozen=True)
class Cache:
    """Pooled descriptors and conditions of many tiles.

    Arguments:
        y: Descriptors, float16, `(T, d, D, H, W)`.
        c: Conditions, float16, `(T, k, D, H, W)`.
        where: Voxels in the body, bool, `(T, D, H, W)`.
    """

    y: Tensor
    c: Tensor
    where: Tensor


@dataclass(frozen=True)
class Draw:
    """What one step looks at.

    Arguments:
        y: Descriptors of m blocks, float16, `(m, d, D, H, W)`.
        c: Their conditions, float16, `(m, k, D, H, W)`.
        where: Voxels to score, bool, `(m, D, H, W)`.
        seed: Decides the noise.
    """

    y: Tensor
    c: Tensor
    where: Tensor
    seed: int


def tiles_of(names: Sequence[str], count: int, often: Sequence[str], times: int) -> list[int]:
    """How many tiles each scan gives, at least one.

    Arguments:
        names: The scans.
        count: Tiles of all of them.
        often: Patterns of the names of those that give `times` the share of another.
        times: That share.

    Example:
        >>> tiles_of(["ct_1", "phantom_1"], 10, ["ct_*"], 4)
        [8, 2]
    """
    shares = [times if any(fnmatch(name, one) for one in often) else 1 for name in names]
    return [max(1, round(count * share / sum(shares))) for share in shares]


@torch.inference_mode()
def describe(
    networks: Networks, store: Store, counts: Sequence[int], rng: np.random.Generator
) -> Cache:
    """Descriptors and conditions of random tiles.

    Arguments:
        networks: The frozen networks.
        store: Where the scans are.
        counts: Tiles of each scan, in the order of the store; less where it has no more.
        rng: Draws them.
    """
    model = networks.settings
    device = processes.device()
    networks.to(device)
    cache, filled = empty(model, sum(counts)), 0
    for number, (name, count) in enumerate(zip(store.names, counts, strict=True)):
        prepared = store.prepared(name)
        image, body = padded(prepared, model)
        boxes = random_tiles(body, model, count, rng)
        where = pooled_mask(body, model.pool)
        for start in range(0, len(boxes), BLOCK):
            batch = boxes[start : start + BLOCK]
            x, positions, mask = batch_of(batch, image, where, prepared.shape, model)
            x = x.to(device)
            with autocast(device, reduced=True):
                y = networks.descriptor.pooled(x, model.pool)
                place = positions.to(device), mask.to(device)
                c = networks.condition.pooled(x, y, *place, model.pool)
            held = slice(filled, filled + len(batch))
            cache.y[held], cache.c[held], cache.where[held] = y, c, mask
            filled = held.stop
        if number % 10 == 0:
            print(f"density: described {number + 1} of {len(store.names)} scans", flush=True)
    networks.cpu()
    return Cache(cache.y[:filled], cache.c[:filled], cache.where[:filled])


def empty(model: ModelSettings, count: int) -> Cache:
    """Room for `count` tiles: gigabytes, so they are written in place and never held twice."""
    d, h, w = (side // unit for side, unit in zip(model.tile, model.pool, strict=True))
    described = model.descriptor.out
    y, c = (
        torch.empty((count, channels, d, h, w), dtype=torch.float16)
        for channels in (described, model.condition.channels(described))
    )
    return Cache(y, c, torch.empty((count, d, h, w), dtype=torch.bool))


def random_tiles(
    body: np.ndarray, model: ModelSettings, count: int, rng: np.random.Generator
) -> list[tiles.Box]:
    """Tiles that a screening of the scan could meet, each with some body, drawn at random."""
    boxes = body_tiles(body, model, 0.5)
    chosen = rng.permutation(len(boxes))[:count]
    return [boxes[index] for index in chosen]


def draw(rng: np.random.Generator, cache: Cache, count: int, block: Shape, voxels: int) -> Draw:
    """Draw the blocks and voxels of one step, each block with some body.

    Arguments:
        rng: Draws them.
        cache: What is drawn from.
        count: Blocks.
        block: Largest extent of a block, pooled voxels.
        voxels: Body voxels to score, over all blocks.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    each = max(1, voxels // count)
    while len(parts) < count:
        tile = int(rng.integers(len(cache.y)))
        box = draw_box(rng, cache.where[tile].shape, block)
        picked = pick(rng, cache.where[tile][box], each)
        if picked.any():
            parts.append((cache.y[tile][:, *box], cache.c[tile][:, *box], picked))
    y, c, where = (torch.stack(part) for part in zip(*parts, strict=True))
    return Draw(y, c, where, int(rng.integers(2**31)))


def draw_box(rng: np.random.Generator, shape: torch.Size, block: Shape) -> tiles.Box:
    """Draw a box of at most `block` voxels inside of a tile."""
    size = [min(extent, side) for extent, side in zip(shape, block, strict=True)]
    starts = [int(rng.integers(n - m + 1)) for n, m in zip(shape, size, strict=True)]
    d, h, w = (slice(start, start + side) for start, side in zip(starts, size, strict=True))
    return d, h, w


def pick(rng: np.random.Generator, inside: Tensor, count: int) -> Tensor:
    """At most `count` voxels of a mask, drawn at random, as a mask of the same shape."""
    voxels = np.flatnonzero(inside.numpy())
    picked = torch.zeros(inside.numel(), dtype=torch.bool)
    picked[torch.from_numpy(rng.permutation(voxels)[:count])] = True
    return picked.reshape(inside.shape)
