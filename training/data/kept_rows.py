"""Rows in a file: kept with the hash of all that they depend on, drawn again where it changed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ctscreener.heads import Source
from ctscreener.settings import to_json
from training.data.rows import Rows
from training.evaluation.array_cache import load_arrays, save_unpacked


def are_kept(path: Path, key: dict[str, object]) -> bool:
    """Whether a file holds the rows that depend on this, and on nothing else.

    Arguments:
        path: The file.
        key: What the rows depend on, ready for JSON.
    """
    return load_arrays(path, _digest(key), ()) is not None


def _digest(key: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(to_json(key), sort_keys=True).encode()).hexdigest()


def kept_rows(
    path: Path, key: dict[str, object], sources: Sequence[Source], draw: Callable[[], Rows]
) -> Rows:
    """Rows from a file, or drawn and kept there.

    Arguments:
        path: The file.
        key: What the rows depend on, ready for JSON.
        sources: Maps that must have been read; more do no harm.
        draw: Draws them.
    """
    digest = _digest(key)
    arrays = load_arrays(path, digest)
    if arrays is None or any(f"feature_{source.name}" not in arrays for source in sources):
        rows = draw()
        arrays = {f"feature_{name}": values for name, values in rows.features.items()}
        arrays |= {"anomalous": rows.anomalous, "kind": rows.kind, "number": rows.number}
        save_unpacked(path, digest, **arrays)
    # A file may hold more maps, for another encoder's runs: they would only take memory.
    features = {source.name: arrays[f"feature_{source.name}"] for source in sources}
    return Rows(features, arrays["anomalous"], arrays["kind"], arrays["number"])
