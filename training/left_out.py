"""Scores of scans left out: by networks and a density that saw neither them nor their patients."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ctscreener.conditional import AnyDensity, is_conditional
from ctscreener.encoded import EncodedSettings
from ctscreener.encoder import Encoder
from ctscreener.heads import Discriminator, GaussianSettings, Maps, Source
from ctscreener.preprocess import Prepared
from ctscreener.shifts import Box, encode_shifts, finest, mean_over_shifts, on_finest
from training.data.placed_rows import Placed
from training.data.rows import Rows, seen_of
from training.data.store import Store
from training.discriminator_settings import DiscriminatorSettings
from training.evaluation.array_cache import load_arrays, save_arrays
from training.fit_density import kept_conditional
from training.fit_heads import Fitted, fit_gaussian, side_by_side
from training.fold_model import keep_fold
from training.loop import processes


def matrix(rows: Sequence[Rows], sources: Sequence[Source]) -> Tensor:
    """Features of rows side by side, in the order of the sources, float16, `(n, C)`."""
    return torch.from_numpy(
        np.concatenate(
            [np.concatenate([some.features[s.name] for s in sources], 1) for some in rows]
        )
    )


def clean_rows(rows: Sequence[Rows], density: GaussianSettings) -> Tensor:
    """Features of the rows that no anomaly touches, for the density."""
    return torch.cat([matrix([some], density.sources)[some.anomalous == 0][::3] for some in rows])


def density_of(
    settings: DiscriminatorSettings,
    rows: Mapping[str, Sequence[Rows]],
    placed: Mapping[str, Placed],
    channels: Mapping[Source, int],
) -> AnyDensity:
    """The density of the scans whose rows are given."""
    density = settings.density
    if not is_conditional(density):
        flat = [some for own in rows.values() for some in own]
        return fit_gaussian(clean_rows(flat, density), density, channels)
    some = [placed[name] for name in rows]
    kept = settings.run / "density"
    return kept_conditional(kept, some, density, channels, settings.fit_density, settings.seed)


def readers_of(
    settings: DiscriminatorSettings,
    model: EncodedSettings,
    heads: Mapping[int, Sequence[Fitted]],
    rows: Mapping[str, Sequence[Rows]],
    placed: Mapping[str, Placed],
    folds: Mapping[str, int],
) -> dict[int, tuple[Discriminator, AnyDensity]]:
    """What reads both scores of the scans of each fold, and saw none of their patients; kept."""
    readers = {}
    for fold, some in heads.items():
        others = {name: own for name, own in rows.items() if folds[name] != fold}
        readers[fold] = (
            side_by_side(some, model.discriminator.sources, model.channels),
            density_of(settings, others, placed, model.channels),
        )
        if processes.is_first():
            keep_fold(settings.run, fold, *readers[fold])
    return readers


def left_out_scores(
    settings: DiscriminatorSettings,
    store: Store,
    encoder: Encoder,
    model: EncodedSettings,
    readers: Mapping[int, tuple[Discriminator, AnyDensity]],
    folds: Mapping[str, int],
    names: Sequence[str],
) -> dict[str, dict[str, np.ndarray]]:
    """Both scores of the body's voxels of some scans, by networks not trained on their patients."""
    found = {}
    device = processes.device()
    encoder.to(device)
    for number, name in enumerate(names):
        discriminator, density = readers[folds[name]]
        discriminator.to(device)
        density.to(device)
        digest = hashlib.sha256(store.scans[name].sha256.encode())
        for tensor in (*discriminator.state_dict().values(), *density.state_dict().values()):
            digest.update(tensor.cpu().numpy().tobytes())
        # One shift is what scores kept from before there were more have.
        digest.update(f"{model.shifts} shifts".encode() if model.shifts > 1 else b"")
        path = settings.run / "left_out" / f"{name}.npz"
        known = load_arrays(path, digest.hexdigest())
        if known is None:
            known = both_scores(store.prepared(name), encoder, model, discriminator, density)
            save_arrays(path, digest.hexdigest(), **known)
        found[name] = known
        print(f"discriminator: scored {number + 1} of {len(names)} scans", flush=True)
    encoder.cpu()
    return found


def both_scores(
    prepared: Prepared,
    encoder: Encoder,
    model: EncodedSettings,
    discriminator: Discriminator,
    density: AnyDensity,
) -> dict[str, np.ndarray]:
    """The scores of a scan by each part, as a screening averages them, float32, `(P,)` each.

    Arguments:
        prepared: The scan in HU, P voxels of whose finest map lie in the body.
        encoder: On the device that its readers are on.
        model: Which maps, and how many shifts of them.
        discriminator: One part.
        density: The other.
    """
    inside = on_finest(prepared.body)
    x = seen_of(encoder, prepared.image, model.preprocess.window)
    body = torch.from_numpy(inside.copy()).to(x.device)

    def read(maps: Maps, here: Box) -> Tensor:
        size = body[here].shape
        return torch.stack([discriminator(maps, size), density(maps, size, body[here])])

    with torch.inference_mode(), torch.autocast(x.device.type, torch.bfloat16):
        shifts = encode_shifts(encoder, x, model.sources, model.shifts, lambda done, total: None)
        both = mean_over_shifts(shifts, finest(prepared.image.shape), read).cpu().numpy()
    return {"discriminator": both[0][inside], "density": both[1][inside]}


def scales_of(parts: Iterable[Mapping[str, np.ndarray]]) -> dict[str, tuple[float, float]]:
    """Mean and deviation of each part's scores, over the voxels of some scans."""
    found, scales = list(parts), {}
    for part in ("discriminator", "density"):
        values = np.concatenate([own[part] for own in found])
        scales[part] = (float(values.mean()), float(values.std()))
    return scales
