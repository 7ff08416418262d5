"""Where scans are: files and DICOM folders, their names in a store, and their hashes."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctscreener.errors import InputError
from ctscreener.file_tree import list_tree
from ctscreener.files import FORMATS, files_of
from ctscreener.slices import read_images
from training.data.dicom_folders import find_series

RESERVED = ("manifest", "preprocess")
"""Names that files of the store itself have."""
READING = 1 << 20


@dataclass(frozen=True)
class Source:
    """A scan to prepare.

    Arguments:
        name: Its name in the store.
        path: Its file or DICOM folder.
        series: SeriesInstanceUID, where the folder is not all of one series.
    """

    name: str
    path: Path
    series: str | None = None


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Find scans in files and folders.

    Arguments:
        paths: Files, DICOM folders, or folders that hold such at any depth.

    Returns:
        The scans, sorted by path, with names that differ.

    Raises:
        InputError: A path does not exist, or there is no scan in any.
    """
    found: dict[tuple[Path, str], tuple[Path, str | None]] = {}
    for path in paths:
        if not path.exists():
            raise InputError("prepare.missing", f"No such file or folder: {path}.", "Check it.")
        for scan, series in _walk(path.resolve()):
            # What a link leads to may have been found already.
            found.setdefault((scan.resolve(), series or ""), (scan, series))
    if not found:
        raise InputError(
            "prepare.no_scans",
            f"Expected {', '.join(FORMATS)} or DICOM in {', '.join(map(str, paths))}, found none.",
            "Check the path.",
        )
    sources: dict[str, Source] = {}
    for path, series in sorted(found.values(), key=lambda scan: (scan[0], scan[1] or "")):
        name = _stem(path)
        if series is not None:
            name = f"{name}_{_tail(series)}"
        if name in sources or name in RESERVED:
            # The same name in two folders: the folder's name tells them apart, then a hash.
            name = f"{_stem(path.parent)}_{name}"
        if name in sources:
            whole = os.fsencode(f"{path}{series or ''}")
            name = f"{name}_{hashlib.sha256(whole).hexdigest()[:8]}"
        sources[name] = Source(name, path, series)
    return list(sources.values())


def hash_source(path: Path, series: str | None = None) -> str:
    """Hash every file that a scan is read from, in the order of their names.

    Arguments:
        path: File or folder.
        series: SeriesInstanceUID, to take the images of this one alone.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        InputError: `dicom.truncated`, or one of `files_of`.
    """
    digest = hashlib.sha256()
    for file in files_of(path):
        if series is not None and series not in {image.series for image in read_images(file)}:
            continue
        with file.open("rb") as stream:
            while block := stream.read(READING):
                digest.update(block)
    return digest.hexdigest()


def _walk(path: Path) -> Iterator[tuple[Path, str | None]]:
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
    return name.lower().endswith(FORMATS) and not _stem(Path(name)).endswith("_lesion")


def _tail(series: str) -> str:
    """Give the end of a UID, in letters that a file's name can have."""
    return re.sub(r"[^0-9A-Za-z]", "", series.split(".")[-1])[-12:] or "series"


def _stem(path: Path) -> str:
    """Give a path's name without the ending of an image file, in letters that any disk takes."""
    name = os.fsencode(path.name).decode("utf-8", "replace").replace("\ufffd", "_")
    for ending in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
