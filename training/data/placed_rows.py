"""Features of voxels with their place in the body and what surrounds them, drawn once and kept."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ctscreener.conditional import shares
from ctscreener.conditions import shell_mean
from ctscreener.encoded import PLAIN
from ctscreener.encoder import Encoder
from ctscreener.heads import GaussianSettings, Maps, averaged
from ctscreener.settings import to_json
from ctscreener.shifts import on_finest
from training.data.masked_views import KeptViews
from training.data.rows import describe
from training.data.store import Store
from training.evaluation.array_cache import load_arrays, save_unpacked

PLACED_VERSION = 2
"""A change of how they are drawn needs a new number."""


@dataclass(frozen=True)
class Placed:
    """Features of voxels of one scan, and what is around them.

    Arguments:
        key: What they were read from and how, a hash.
        features: Float16, `(n, C)`.
        places: Shares of the body's box along the axes, float32, `(n, 3)`.
        shells: Mean features of each shell, float16, `(n, S, C)`.
        voxels: Numbers of the voxels on the maps' own grid, flat, `(n,)`.
        views: The scan with blocks hidden; None where nothing asks for it.
    """

    key: str
    features: Tensor
    places: Tensor
    shells: Tensor
    voxels: Tensor
    views: KeptViews | None = None


def place(
    maps: Maps, body: Tensor, settings: GaussianSettings, most: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Read features at voxels of the body, on the maps' own grid.

    Arguments:
        maps: Maps of the scan.
        body: Voxels of the body on the finest grid, bool, `(D, H, W)`.
        settings: Which maps and conditions.
        most: Voxels at most.
        rng: Chooses them.

    Returns:
        `features`, `places`, `shells` and `voxels` of `Placed`.
    """
    y = torch.cat([averaged(maps[s], s.cube) for s in settings.sources], 1)[0]
    unit = 1 << settings.sources[0].level
    where = body[::unit, ::unit, ::unit]
    inside = where.flatten().nonzero()[:, 0]
    chosen = inside[torch.from_numpy(rng.permutation(len(inside))[:most])]

    def at(z: Tensor) -> Tensor:
        return z.flatten(1)[:, chosen].T

    everywhere = torch.ones_like(where)[None]
    shells = [at(shell_mean(y[None], everywhere, shell)[0]).half() for shell in settings.surround]
    none = torch.zeros(len(chosen), 0, len(y), dtype=torch.float16)
    places = at(shares(body, unit, where.shape))
    around = torch.stack(shells, 1) if shells else none
    return {"features": at(y).half(), "places": places, "shells": around, "voxels": chosen}


def placed_rows(
    folder: Path,
    store: Store,
    encoder: Encoder,
    sha256: str,
    settings: GaussianSettings,
    most: int,
    views: Mapping[str, KeptViews],
) -> dict[str, Placed]:
    """Voxels of every scan of a store, read or drawn and kept.

    Arguments:
        folder: Where they are kept.
        store: The scans.
        encoder: What is read of them.
        sha256: Hash of its weights.
        settings: Which maps and conditions.
        most: Voxels of a scan at most.
        views: Scans with blocks hidden, where the density asks for them.
    """
    found = {}
    shown = [settings.sources, settings.surround, most, sha256, PLACED_VERSION]
    for number, name in enumerate(store.names):
        own = store.scans[name].sha256
        key = hashlib.sha256(json.dumps(to_json([shown, own])).encode()).hexdigest()
        arrays = load_arrays(folder / f"{name}.npz", key)
        if arrays is None:
            prepared = store.prepared(name)
            maps = describe(encoder, settings.sources, prepared.image, PLAIN.window)
            body = torch.from_numpy(on_finest(prepared.body).copy())
            maps = {source: z.cpu() for source, z in maps.items()}
            drawn = place(maps, body, settings, most, np.random.default_rng(int(own[:8], 16)))
            arrays = {part: values.numpy() for part, values in drawn.items()}
            save_unpacked(folder / f"{name}.npz", key, **arrays)
        tensors = {part: torch.from_numpy(values) for part, values in arrays.items()}
        found[name] = Placed(key, **tensors, views=views.get(name))
        print(f"density: voxels of {number + 1} of {len(store.names)} scans", flush=True)
    return found
