"""What stands in a folder: whether every file is whole, and what it says but for the time it took."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

GROWING = ("events.out.tfevents", "metrics.jsonl", "watched.jsonl")
"""Journals, which grow line by line: a kill may leave half a line, and a later run cuts it off."""
HIDDEN = ".screener"
TIMES = ("seconds", "peak_bytes")
"""What differs between two runs of the same thing."""


def files_in(folder: Path) -> Iterator[Path]:
    """Every file under its final name."""
    for path in sorted(folder.rglob("*")):
        hidden = any(HIDDEN in part for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def left_behind(folder: Path) -> list[str]:
    """Hidden folders and locks that are still there."""
    return [str(path.relative_to(folder)) for path in folder.rglob(f"*{HIDDEN}*")]


def damaged(folder: Path) -> list[str]:
    """Files under final names that cannot be read from end to end, and why."""
    found = []
    for path in files_in(folder):
        if path.name.startswith(GROWING):
            continue
        try:
            said(path)
        except (OSError, ValueError, RuntimeError, EOFError, KeyError) as error:
            found.append(f"{path.relative_to(folder)}: {type(error).__name__} {error}")
    return found


def outcome(folder: Path) -> dict[str, Any]:
    """What a folder says, file by file, without times and without its own place."""
    return {
        str(path.relative_to(folder)): _placeless(said(path), str(folder))
        for path in files_in(folder)
        if not path.name.startswith("events.out")
    }


def _placeless(value: Any, place: str) -> Any:  # noqa: ANN401
    """The same without the name of the folder that it stands in."""
    if isinstance(value, dict):
        return {key: _placeless(one, place) for key, one in value.items()}
    if isinstance(value, list):
        return [_placeless(one, place) for one in value]
    return value.replace(place, ".") if isinstance(value, str) else value


def said(path: Path) -> Any:  # noqa: ANN401 - compared alone
    """Read a file from end to end; equal for two runs that say the same.

    Raises:
        OSError, ValueError, RuntimeError, EOFError, KeyError: It is not whole.
    """
    if path.stat().st_size == 0:
        raise ValueError("empty")
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return READERS.get(ending, _bytes)(path)


def _bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(path: Path) -> Any:  # noqa: ANN401
    return _timeless(json.loads(path.read_text(encoding="utf-8")))


def _lines(path: Path) -> Any:  # noqa: ANN401
    return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]


def _timeless(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def _table(path: Path) -> Any:  # noqa: ANN401
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return [{key: one for key, one in row.items() if key not in TIMES} for row in rows]


def _tensors(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return {name: _digest(value) for name, value in sorted(tensors.items())}


def _arrays(path: Path) -> list[str]:
    with np.load(path, allow_pickle=False) as stored:
        # Their contents hold times; what follows from them is compared in results.json.
        return sorted(name for name in stored.files if stored[name].size >= 0)


def _store(path: Path) -> str:
    import blosc2

    array: Any = blosc2.open(str(path), mode="r")
    return _digest(np.asarray(array[:]))


def _image(path: Path) -> str:
    import SimpleITK as sitk

    return _digest(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def _picture(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return _digest(np.asarray(picture))


def _digest(values: np.ndarray) -> str:
    content = np.ascontiguousarray(values).tobytes()
    return f"{values.dtype} {values.shape} {hashlib.sha256(content).hexdigest()}"


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _json,
    ".jsonl": _lines,
    ".csv": _table,
    ".safetensors": _tensors,
    ".npz": _arrays,
    ".b2nd": _store,
    ".nrrd": _image,
    ".nii.gz": _image,
    ".png": _picture,
}
