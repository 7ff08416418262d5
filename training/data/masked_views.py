"""Maps of a scan with blocks of it hidden, drawn once and kept: what a condition is trained on."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ctscreener.encoded import PLAIN
from ctscreener.encoder import Encoder
from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings, averaged
from ctscreener.settings import to_json
from training.data.masking import MaskSettings, draw_masks
from training.data.rows import describe
from training.data.store import Store
from training.evaluation.array_cache import load_arrays, save_unpacked

VIEWS_VERSION = 1
"""A change of how they are drawn needs a new number."""


@dataclass(frozen=True)
class ViewSettings:
    """How often a scan is seen with blocks of it hidden, and how large these are."""

    masked: int = 3
    """Views with blocks hidden, beside the one with none."""
    masks: MaskSettings = field(
        default_factory=lambda: MaskSettings(1.0, 0.5, (8, 16, 16), (24, 48, 48))
    )
    """Which blocks, in voxels of 3 x 1.5 x 1.5 mm: 24 to 72 mm."""

    def __post_init__(self) -> None:
        """Raise where there is nothing to compare."""
        masks = self.masks
        blocks = all(1 <= a <= b for a, b in zip(masks.least, masks.largest, strict=True))
        if self.masked < 1 or not blocks or not (0 < masks.ratio < 1 and 0 < masks.chance <= 1):
            raise InputError(
                "discriminator.views",
                "Expected 1 or more views with blocks hidden, of a voxel or more and the least no "
                f"larger than the largest, by a chance and to a share above 0, found {self}.",
                "Give other values to the flags --fit-density.invariant.views.",
            )


@dataclass(frozen=True)
class Views:
    """What the encoder makes of a scan with nothing and with blocks of it hidden.

    Arguments:
        maps: Features of each view, the first with nothing hidden, float16, `(V, C, d, h, w)`.
        seen: Share of what surrounds each voxel that is not hidden, float16, `(V, d, h, w)`.
        body: Voxels of the body, bool, `(d, h, w)`.
    """

    maps: Tensor
    seen: Tensor
    body: Tensor


@dataclass(frozen=True)
class KeptViews:
    """Views that lie in a file: those of many scans do not fit into memory.

    Arguments:
        path: The file.
        key: What they depend on, a hash.
    """

    path: Path
    key: str

    def load(self) -> Views:
        """Read them."""
        arrays = load_arrays(self.path, self.key)
        assert arrays is not None, "`kept_views` has made sure of them"
        return Views(**{name: torch.from_numpy(values) for name, values in arrays.items()})


def draw_views_of(
    encoder: Encoder,
    image: np.ndarray,
    body: np.ndarray,
    density: GaussianSettings,
    settings: ViewSettings,
    rng: np.random.Generator,
) -> Views:
    """Hide blocks of a scan, and read its maps.

    Arguments:
        encoder: What reads it.
        image: HU, `(D, H, W)`.
        body: Voxels of the body, bool, `(D, H, W)`.
        density: Which maps.
        settings: How often, and how large blocks are.
        rng: Draws them.
    """
    level = density.sources[0].level
    stride = tuple(unit << level for unit in encoder.settings.strides[0])
    every = tuple(slice(None, None, unit) for unit in stride)
    drawn = draw_masks(rng, settings.masked, image.shape, settings.masks)[:, 0]
    maps, seen = [], []
    for mask in (np.ones_like(drawn[0]), *drawn):
        # Hidden is what the encoder's window maps to 0, as outside of the scan.
        hidden = np.where(mask > 0, image, PLAIN.window[0])
        found = describe(encoder, density.sources, hidden, PLAIN.window)
        of_sources = [averaged(found[s], s.cube)[0].cpu() for s in density.sources]
        maps.append(torch.cat(of_sources).half())
        share = mask.astype(np.float32)
        for axis, unit in enumerate(stride):
            share = ndimage.uniform_filter1d(share, unit, axis, mode="nearest")
        seen.append(torch.from_numpy(share[every].copy()).half())
    return Views(torch.stack(maps), torch.stack(seen), torch.from_numpy(body[every].copy()))


def kept_views(
    folder: Path,
    store: Store,
    encoder: Encoder,
    sha256: str,
    density: GaussianSettings,
    settings: ViewSettings,
) -> dict[str, KeptViews]:
    """Views of every scan of a store, drawn where they are not kept.

    Arguments:
        folder: Where they are kept; some tens of MB for each view of a scan.
        store: The scans.
        encoder: What reads them.
        sha256: Hash of its weights.
        density: Which maps.
        settings: Which views.
    """
    found = {}
    for number, name in enumerate(store.names):
        own = store.scans[name].sha256
        shown = [density.sources, settings, sha256, VIEWS_VERSION, own]
        key = hashlib.sha256(json.dumps(to_json(shown)).encode()).hexdigest()
        path = folder / f"{name}.npz"
        if load_arrays(path, key, ()) is None:
            prepared = store.prepared(name)
            rng = np.random.default_rng(int(own[:8], 16))
            made = draw_views_of(encoder, prepared.image, prepared.body, density, settings, rng)
            arrays = {part: values.numpy() for part, values in vars(made).items()}
            save_unpacked(path, key, **arrays)
        found[name] = KeptViews(path, key)
        print(f"density: views of {number + 1} of {len(store.names)} scans", flush=True)
    return found
