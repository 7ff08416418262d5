"""Where scans are: files and DICOM folders, their names in a store, and their hashes."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ctscreener.errors import InputError
from ctscreener.files import FORMATS, files_of
from ctscreener.header_text import is_regular
from ctscreener.plausible import MIN_SLICES

RESERVED = ("manifest", "preprocess")
"""Names that files of the store itself have."""
READING = 1 << 20


@dataclass(frozen=True)
class Source:
    """A scan to prepare.

    Arguments:
        name: Its name in the store.
        path: Its file or DICOM folder.
    """

    name: str
    path: Path


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Find scans in files and folders.

    Arguments:
        paths: Files, DICOM folders, or folders that hold such at any depth.

    Returns:
        The scans, sorted by path, with names that differ.

    Raises:
        InputError: A path does not exist or cannot be read, or there is no scan in any.
    """
    found: set[Path] = set()
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError("prepare.missing", f"No such file or folder: {path}.", "Check it.")
        try:
            found.update(_walk(path.resolve(), seen))
        except OSError as error:
            raise InputError(
                "prepare.unreadable",
                f"Expected folders and files that can be read, found {error}.",
                "Check the permissions.",
            ) from error
    if not found:
        raise InputError(
            "prepare.no_scans",
            f"Expected {', '.join(FORMATS)} or DICOM in {', '.join(map(str, paths))}, found none.",
            "Check the path.",
        )
    sources: dict[str, Source] = {}
    for path in sorted(found):
        name = _stem(path)
        if name in sources or name in RESERVED:
            # The same name in two folders: the folder's name tells them apart, then a hash.
            name = f"{path.parent.name}_{name}"
        if name in sources:
            name = f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        sources[name] = Source(name, path)
    return list(sources.values())


def hash_source(path: Path) -> str:
    """Hash a scan: every file that it is read from, in the order of their names.

    Arguments:
        path: File or folder.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        InputError: A header names data files that are not there.
    """
    digest = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as stream:
            while block := stream.read(READING):
                digest.update(block)
    return digest.hexdigest()


def _walk(path: Path, seen: set[Path]) -> list[Path]:
    """Find the scans at or below a path; a folder that links lead to twice is looked at once."""
    if path.is_file():
        return [path]
    if path.resolve() in seen:
        return []
    seen.add(path.resolve())
    entries = sorted(path.iterdir())
    below = [scan for entry in entries if entry.is_dir() for scan in _walk(entry, seen)]
    if _is_series(entries, any(scan.is_dir() for scan in below)):
        below.append(path)
    return below + [entry for entry in entries if not entry.is_dir() and _is_scan(entry.name)]


def _is_series(entries: Sequence[Path], series_below: bool) -> bool:
    """Whether the files of one folder are a series; a few above others are scouts or an index."""
    found = (entry for entry in entries if _is_dicom(entry))
    return sum(1 for _ in islice(found, MIN_SLICES)) >= (MIN_SLICES if series_below else 1)


def _is_scan(name: str) -> bool:
    """Whether a file of this name is a scan, not a mask of lesions."""
    return name.lower().endswith(FORMATS) and not _stem(Path(name)).endswith("_lesion")


def _is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its name or by the four letters that DICOM begins with."""
    # An index of other folders holds no image; a pipe would never end.
    if path.name.upper() == "DICOMDIR" or path.name.startswith(".") or not is_regular(path):
        return False
    if path.suffix.lower() == ".dcm":
        return True
    if path.name.lower().endswith(FORMATS):
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _stem(path: Path) -> str:
    """Give a path's name without the ending of an image file, in letters that any disk takes."""
    name = os.fsencode(path.name).decode("utf-8", "replace").replace("\ufffd", "_")
    for ending in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
