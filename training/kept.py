"""Arrays kept between runs, each with a key that tells what it was computed from."""

from pathlib import Path

import numpy as np

from ctscreener.maps import whole_file


def save_arrays(path: Path, key: str, **arrays: np.ndarray) -> None:
    """Keep arrays in a file, together with what they depend on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        np.savez_compressed(beside, allow_pickle=False, key=np.array(key), **arrays)


def load_arrays(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """Read kept arrays; None where there are none, or where they depend on something else."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if stored["key"] != key:
            return None
        return {name: stored[name] for name in stored.files if name != "key"}
