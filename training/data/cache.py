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
from training.data.parcel import Parcel, pack
from training.data.store import Store
from training.loop import processes

BLOCK = 8
"""Tiles that go through the frozen networks together."""


@dataclass(frozen=True)
class Cache:
    """Pooled descriptors and conditions of many tiles.

    Arguments:
        y: Descriptors, float16, `(T, d, D, H, W)`; on the graphics card where they fit.
        c: Conditions, float16, `(T, k, D, H, W)`; likewise.
        where: Voxels in the body, bool, `(T, D, H, W)`; on the host, which draws by them.
    """

    y: Tensor
    c: Tensor
    where: Tensor

    def blocks(self, places: Sequence[tuple[int, tiles.Box]]) -> tuple[Tensor, Tensor]:
        """Descriptors and conditions of some boxes of some tiles, `(m, C, D, H, W)` each."""
        y, c = (
            torch.stack([maps[tile][:, *box] for tile, box in places]) for maps in (self.y, self.c)
        )
        return y, c


@dataclass(frozen=True)
class Draw:
    """What one step looks at.

    Arguments:
        places: Tile and box of each of m blocks.
        numbers: Voxels to score: where they stand among all of the m blocks, int64, `(P,)`.
        seed: Decides the noise.
    """

    places: list[tuple[int, tiles.Box]]
    numbers: np.ndarray
    seed: int

    def parcel(self, cache: Cache) -> Parcel:
        """Pack what the device of a training needs, beside what of the cache it has."""
        arrays = {"numbers": self.numbers}
        if cache.y.device.type == "cpu":
            y, c = cache.blocks(self.places)
            arrays |= {"y": y.numpy(), "c": c.numpy()}
        return pack(arrays, {"seed": self.seed, "places": self.places})


def on_device(parcel: Parcel, cache: Cache, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Descriptors, conditions and numbers of voxels of a step on a device; see `Draw.parcel`."""
    there = parcel.opened(device)
    y, c = (there["y"], there["c"]) if "y" in there else cache.blocks(parcel.facts["places"])
    return y, c, there["numbers"]


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
    cache, filled = empty(model, sum(counts), device), 0
    for number, (name, count) in enumerate(zip(store.names, counts, strict=True)):
        prepared = store.prepared(name)
        image, body = padded(prepared, model)
        boxes = random_tiles(body, model, count, rng)
        where = pooled_mask(body, model.pool)
        for start in range(0, len(boxes), BLOCK):
            batch = boxes[start : start + BLOCK]
            x, positions, mask = batch_of(batch, image, where, prepared.shape, model, device)
            with autocast(device, reduced=True):
                y = networks.descriptor.pooled(x, model.pool)
                c = networks.condition.pooled(x, y, positions, mask, model.pool)
            held = slice(filled, filled + len(batch))
            cache.y[held], cache.c[held], cache.where[held] = y, c, mask
            filled = held.stop
        if number % 10 == 0:
            print(f"density: described {number + 1} of {len(store.names)} scans", flush=True)
    networks.cpu()
    return Cache(cache.y[:filled], cache.c[:filled], cache.where[:filled])


def empty(model: ModelSettings, count: int, device: torch.device) -> Cache:
    """Room for `count` tiles: gigabytes, so they are written in place and never held twice.

    Arguments:
        model: Sizes.
        count: Tiles.
        device: Where the networks are; a card holds what takes no more than half of its free
            memory: what lies on the host would have to be copied there at every step.
    """
    d, h, w = (side // unit for side, unit in zip(model.tile, model.pool, strict=True))
    described = model.descriptor.out
    widths = (described, model.condition.channels(described))
    needed = 2 * count * sum(widths) * d * h * w
    if device.type == "cuda" and needed > torch.cuda.mem_get_info(device)[0] / 2:
        device = torch.device("cpu")
    y, c = (
        torch.empty((count, channels, d, h, w), dtype=torch.float16, device=device)
        for channels in widths
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
    places: list[tuple[int, tiles.Box]] = []
    numbers: list[np.ndarray] = []
    each = max(1, voxels // count)
    while len(places) < count:
        tile = int(rng.integers(len(cache.where)))
        box = draw_box(rng, cache.where[tile].shape, block)
        inside = cache.where[tile][box]
        picked = pick(rng, inside, each)
        if len(picked):
            numbers.append(picked + len(places) * inside.numel())
            places.append((tile, box))
    return Draw(places, np.concatenate(numbers), int(rng.integers(2**31)))


def draw_box(rng: np.random.Generator, shape: torch.Size, block: Shape) -> tiles.Box:
    """Draw a box of at most `block` voxels inside of a tile."""
    size = [min(extent, side) for extent, side in zip(shape, block, strict=True)]
    starts = [int(rng.integers(n - m + 1)) for n, m in zip(shape, size, strict=True)]
    d, h, w = (slice(start, start + side) for start, side in zip(starts, size, strict=True))
    return d, h, w


def pick(rng: np.random.Generator, inside: Tensor, count: int) -> np.ndarray:
    """Numbers of at most `count` voxels of a mask, drawn at random, rising, int64."""
    voxels = np.flatnonzero(inside.numpy())
    return np.sort(rng.permutation(voxels)[:count])
