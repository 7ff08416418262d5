"""The scores of the scans that rarity refers to, and which of these scans are ordinary enough."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from ctscreener.model import ModelSettings, Scorer
from ctscreener.preprocess import Prepared
from ctscreener.screening import ScreenSettings, score
from ctscreener.settings import to_json
from training.data.store import Store
from training.evaluation.array_cache import load_arrays, save_arrays


def reference_nll(
    networks: Scorer, store: Store, settings: ScreenSettings, keep: Path
) -> dict[str, np.ndarray]:
    """Nll of all body voxels of each reference scan, on the pooled grid, float32, `(P,)` each.

    What was computed before is read: a broken-off export goes on, and one with results for the card
    that came later takes seconds.

    Arguments:
        networks: What scores.
        store: The scans.
        settings: How they are screened.
        keep: Folder for the scores of these weights.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {}
    for number, name in enumerate(store.names):
        prepared = store.prepared(name)
        key = key_of(prepared, networks.settings, settings)
        path = keep / f"{name}-{settings.overlap:g}.npz"
        known = load_arrays(path, key)
        if known is None:
            nll = score(prepared, networks, settings, device).scores
            known = {"nll": nll[np.isfinite(nll)]}
            save_arrays(path, key, **known)
        found[name] = known["nll"]
        told = f"{number + 1} of {len(store.names)} scans, overlap {settings.overlap:g}"
        print(f"export: calibrated on {told}", flush=True)
    networks.cpu()
    return found


def key_of(prepared: Prepared, model: ModelSettings, settings: ScreenSettings) -> str:
    """What the scores of a scan by given weights depend on, as a hash."""
    asked = to_json(settings) | {"device": None, "batch": None, "findings": None}
    digest = hashlib.sha256(json.dumps([to_json(model), asked, prepared.shape]).encode())
    for part in (prepared.image, prepared.body):
        digest.update(part.tobytes())
    return digest.hexdigest()


def ordinary(nll: dict[str, np.ndarray], odd: float) -> list[str]:
    """Names of the scans none of which holds the tail of all of them by itself.

    Arguments:
        nll: Scores of each scan, nats, `(P,)` each.
        odd: Times its share of the rarest thousandth from which a scan is left out, above 1.

    Returns:
        The rest, after leaving out the oddest scan as often as there is one.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> scans = {name: rng.normal(size=10_000) for name in "abcdefgh"}
        >>> ordinary(scans | {"odd": rng.normal(size=10_000) + 2}, 5)
        ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    """
    kept = list(nll)
    while len(kept) > 1:
        border = np.quantile(np.concatenate([nll[name] for name in kept]), 0.999)
        shares = [float((nll[name] > border).mean()) for name in kept]
        oddest = int(np.argmax(shares))
        if shares[oddest] <= odd * 0.001:
            break
        del kept[oddest]
    return kept
