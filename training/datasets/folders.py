"""Folders of data sets, one at a time: archives of ten million files are never listed whole."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctscreener.errors import InputError
from ctscreener.files import NIFTI
from ctscreener.slices import Slice, read_images

SKIPPED = {"LICENSE", "DICOMDIR"}
"""Files that may stand beside slices and are none."""
TAIL = 12
LOOKED_AT = 64
"""Entries of a folder that a glance looks at."""


@dataclass(frozen=True)
class Level:
    """A folder and the names of the files right in it, hidden ones left out, sorted.

    Arguments:
        folder: The folder.
        names: The names.
    """

    folder: Path
    names: tuple[str, ...]


def levels(root: Path) -> Iterator[Level]:
    """Walk a tree in the order of its names, links followed, loops not.

    Arguments:
        root: A folder.

    Raises:
        InputError: `scan.unreadable` for a folder that may not be entered.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                found = sorted((e.name, _is_folder(e)) for e in entries if e.name[0] != ".")
        except OSError as failure:
            raise InputError(
                "scan.unreadable",
                f"Expected a readable folder, found: {failure.strerror} ({folder.name}).",
                "Check the permissions of the folder and its files.",
            ) from failure
        yield Level(folder, tuple(name for name, is_folder in found if not is_folder))
        waiting += [folder / name for name, is_folder in reversed(found) if is_folder]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry leads to a folder; a link to itself leads nowhere."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def folders_of(root: Path) -> list[Path]:
    """The folders right in a folder, hidden ones left out, sorted; none where it is no folder."""
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        return sorted(root / e.name for e in entries if _is_folder(e) and e.name[0] != ".")


def below(root: Path, *inner: str) -> Path:
    """The folder itself, or one of those in it that a download may have put around the data.

    Arguments:
        root: The folder that was given.
        inner: Paths in it that may hold the data, the likeliest first.
    """
    return next((root / name for name in inner if (root / name).is_dir()), root)


def some(root: Path, pattern: str) -> bool:
    """Tell by a glance whether a folder has an entry whose name matches a regular expression."""
    if not root.is_dir():
        return False
    with os.scandir(root) as entries:
        return any(re.fullmatch(pattern, entry.name) for entry in entries)


def numbered(folder: Path, pattern: str) -> list[tuple[str, Path]]:
    """Find the entries of a folder whose names match, with what the pattern's group matches.

    Arguments:
        folder: The folder; one that is not there has none.
        pattern: Regular expression with one group.

    Returns:
        What the group matched and the path, whole numbers in their order, before other texts.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [
            (match[1], folder / entry.name)
            for entry in entries
            if (match := re.fullmatch(pattern, entry.name))
        ]
    return sorted(found, key=lambda one: (not one[0].isdigit(), len(one[0]), one))


def first_image(level: Level) -> Slice | None:
    """Read the header of the first file of a folder that is a DICOM image.

    Returns:
        What it says; None where none of the first files is one.

    Raises:
        InputError: `dicom.truncated`.
    """
    names = [name for name in level.names if name not in SKIPPED]
    likely = [name for name in names if name.lower().endswith(".dcm") or "." not in name]
    for name in (likely or names)[:LOOKED_AT]:
        images = read_images(level.folder / name)
        if images:
            return images[0]
    return None


def slices_of(level: Level) -> list[str]:
    """Names of the files of a folder that may be slices."""
    dicom = [name for name in level.names if name.lower().endswith(".dcm")]
    return dicom or [n for n in level.names if "." not in n and n not in SKIPPED]


def is_axial(image: Slice) -> bool:
    """Whether a slice lies across the body, more than along it."""
    return image.placed and bool(abs(image.normal[2]) > max(abs(image.normal[:2])))


def stem(path: Path, endings: Sequence[str] = NIFTI) -> str:
    """The name of a file without the ending of an image."""
    for ending in sorted(endings, key=len, reverse=True):
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def short(uid: str) -> str:
    """The end of a UID, which tells the series of a set apart."""
    return re.sub(r"[^0-9A-Za-z]", "", uid)[-TAIL:] or "series"
