"""Arrays kept between runs, each with a key that tells what it was computed from."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ctscreener.whole_file import make_folder, whole_file


def save_arrays(path: Path, key: str, **arrays: np.ndarray) -> None:
    """Keep arrays in a file, together with what they depend on."""
    make_folder(path.parent)
    with whole_file(path) as beside:
        np.savez_compressed(beside, allow_pickle=False, key=np.array(key), **arrays)


def save_unpacked(path: Path, key: str, **arrays: np.ndarray) -> None:
    """Do as `save_arrays` does, without compression: for large arrays that are mostly noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        np.savez(beside, allow_pickle=False, key=np.array(key), **arrays)


def load_arrays(
    path: Path, key: str, names: Sequence[str] | None = None
) -> dict[str, np.ndarray] | None:
    """Read kept arrays.

    Arguments:
        path: The file.
        key: What they must depend on.
        names: Which ones, in this order; None for all.

    Returns:
        The arrays; None where there are none, they depend on something else, or the file is
        damaged.
    """
    if not path.is_file():
        return None
    try:
        # numpy leaves a file that it opened itself open where it is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if stored["key"] != key:
                return None
            wanted = [name for name in stored.files if name != "key"] if names is None else names
            return {name: stored[name] for name in wanted}
    except (BadZipFile, KeyError, ValueError, EOFError):
        return None


def load_any(path: Path) -> dict[str, np.ndarray]:
    """Read kept arrays, whatever they depend on; raises OSError or ValueError where it cannot."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files if name != "key"}
