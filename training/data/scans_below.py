"""The scans at or below a path, and the names that they give themselves."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ctscreener.file_tree import list_tree
from ctscreener.files import FORMATS
from training.data.dicom_folders import find_series


def scans_below(path: Path) -> Iterator[tuple[Path, str | None]]:
    """Give the scans at or below a path, and of a folder with several series which one."""
    if not path.is_dir():
        yield path, None
        return
    tree = list_tree(path)
    folders = find_series(tree)
    for folder, all_series in folders.items():
        yield from ((folder, series) for series in all_series)
    for file in (*tree.files, *tree.dangling):
        if file.parent not in folders and _is_scan(file.name):
            yield file, None


def _is_scan(name: str) -> bool:
    """Whether a file of this name is a scan, not a mask of lesions."""
    return name.lower().endswith(FORMATS) and not stem(Path(name)).endswith("_lesion")


def tail(series: str) -> str:
    """Give the end of a UID, in letters that a file's name can have."""
    return re.sub(r"[^0-9A-Za-z]", "", series.split(".")[-1])[-12:] or "series"


def stem(path: Path) -> str:
    """Give a path's name without the ending of an image file, in letters that any disk takes."""
    name = os.fsencode(path.name).decode("utf-8", "replace").replace("\ufffd", "_")
    for ending in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
