"""The tiles of the scans of a store, as a screening would see them: what settles a rival."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from ctscreener.tiled import batch_of, body_tiles, padded, pooled_mask
from training.baselines.tiling import Tiling
from training.data.store import Store

Tile = tuple[Tensor, Tensor, Tensor]
"""Image `(1, 1, D, H, W)`, positions `(1, 3, d, h, w)` and voxels to score `(1, d, h, w)`."""


def store_tiles(
    store: Store, tiling: Tiling, rng: np.random.Generator, limit: int | None = None
) -> Iterator[Tile]:
    """Give the tiles that hold body, side by side, scan by scan.

    Arguments:
        store: The scans.
        tiling: How the rival sees them.
        rng: Draws the tiles where there are more than `limit`.
        limit: Tiles of each scan at most.
    """
    for number, name in enumerate(store.names):
        prepared = store.prepared(name)
        image, body = padded(prepared, tiling)
        where = pooled_mask(body, tiling.pool)
        boxes = body_tiles(body, tiling, 0.0)
        for index in sorted(rng.permutation(len(boxes))[:limit]):
            yield batch_of([boxes[index]], image, where, prepared.shape, tiling)
        if number % 10 == 0:
            print(f"baseline: read {number + 1} of {len(store.names)} scans", flush=True)
