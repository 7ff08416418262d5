"""Where scans are: files and DICOM folders, their names in a store, and their hashes."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctscreener.errors import InputError

FILES = (".nii", ".nii.gz", ".nrrd", ".mha")
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
        InputError: A path does not exist, or there is no scan in any.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError("prepare.missing", f"No such file or folder: {path}.", "Check it.")
        found.update(_walk(path.resolve()))
    if not found:
        raise InputError(
            "prepare.no_scans",
            f"Expected {', '.join(FILES)} or DICOM in {', '.join(map(str, paths))}, found none.",
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
    """Hash a file, or every file of a folder in the order of their names.

    Arguments:
        path: File or folder.

    Returns:
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(READING):
                digest.update(block)
    return digest.hexdigest()


def _walk(path: Path) -> Iterator[Path]:
    """Give the scans at or below a path."""
    if path.is_file():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        here = Path(folder)
        if any(_is_dicom(here / name) for name in sorted(files)[:3]):
            yield here
            continue
        yield from (here / name for name in files if _is_scan(name))


def _is_scan(name: str) -> bool:
    """Whether a file of this name is a scan, not a mask of lesions."""
    return name.lower().endswith(FILES) and not _stem(Path(name)).endswith("_lesion")


def _is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its name or by the four letters that DICOM begins with."""
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _stem(path: Path) -> str:
    """Give a path's name without the ending of an image file."""
    name = path.name
    for ending in sorted(FILES, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
