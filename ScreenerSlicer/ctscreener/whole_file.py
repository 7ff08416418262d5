"""A file on disk that is whole or not there: the one way in which Screener writes.

A file is written in a hidden folder beside its place, which nobody but its owner may enter, brought
to the disk, and renamed. What a killed process has left there is cleared away by the next one that
writes in the same place. What is written is its owner's alone, since it says what is in a scan.
"""

import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from ctscreener import owner
from ctscreener.errors import InputError

STAGE = ".screener-"
"""How the name of a folder begins in which a file is made; the mark of its process follows."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that is full, and of one of which a user may fill no more."""
FULL_BYTES = 1 << 16
"""A disk with less than this left while a file is being written is what made the writing fail."""

_count = itertools.count()


class NotWrittenError(InputError):
    """A full disk, or a folder that may not be written: no fault of what was to be written."""


@contextmanager
def whole_file(path: Path, private: bool = True) -> Iterator[Path]:
    """Lend a place beside `path`, and rename what is there to `path` once the block has ended well.

    Arguments:
        path: The file to make, in a folder that exists.
        private: Let its owner alone read it; else whoever the system lets read new files.

    Yields:
        Where to write, a file of the same name.

    Raises:
        NotWrittenError: `output.disk_full` or `output.unwritable` when the disk or its permissions
            were in the way; nothing is left behind then, and an older file at `path` stays.
    """
    try:
        with stage(path.parent) as folder:
            yield folder / path.name
            finish(folder / path.name, private)
            os.replace(folder / path.name, path)
            sync_folder(path.parent)
    except OSError as failure:
        raise not_written(path, failure) from failure


def write_bytes(path: Path, content: bytes, private: bool = True) -> None:
    """Write a file whole; see `whole_file`."""
    with whole_file(path, private) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str, private: bool = True) -> None:
    """Write a text whole, as UTF-8 with plain line ends; see `whole_file`.

    File names that are no UTF-8 may be part of a text: of them the odd bytes are written out.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"), private)


@contextmanager
def stage(beside: Path) -> Iterator[Path]:
    """Lend a hidden folder that its owner alone may enter; it is removed with all that is in it.

    Arguments:
        beside: The folder to make it in, which exists.
    """
    clear_left_behind(beside)
    folder = beside / f"{STAGE}{owner.mark()}-{next(_count)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finish(path: Path, private: bool = True) -> None:
    """Bring a written file to the disk, and say who may read it."""
    path.chmod(0o600 if private else 0o666 & ~_umask())
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def make_folder(folder: Path, private: bool = True) -> list[Path]:
    """Make a folder, and those above it; all that are new are their owner's alone.

    Arguments:
        folder: The folder, which may exist.
        private: Let its owner alone enter those that are new.

    Returns:
        The folders that are new, the innermost first.
    """
    new = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    for place in reversed(new):
        place.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
    # Met here and not at the first file: a file stands in the folder's place.
    folder.mkdir(exist_ok=True)
    return new


def left_behind(place: Path, prefix: str) -> Iterator[Path]:
    """Find what processes that have ended have left in a folder.

    Arguments:
        place: Where to look; that it cannot be read is no error.
        prefix: How the names begin, before the mark of the process.
    """
    with suppress(OSError):
        for entry in sorted(os.listdir(place)):
            if entry.startswith(prefix):
                marked = "-".join(entry.removeprefix(prefix).split("-")[:3])
                with suppress(OSError):
                    if owner.is_gone(marked, (place / entry).lstat().st_mtime):
                        yield place / entry


def clear_left_behind(place: Path) -> None:
    """Clear away what killed processes have left of files in a folder, once in this process."""
    _clear(os.path.abspath(place))


def clear_tree(folder: Path) -> None:
    """Clear away what killed processes have left in a folder and all that are in it."""
    clear_left_behind(folder)
    for place, folders, _ in os.walk(folder):
        for name in folders:
            clear_left_behind(Path(place, name))


@lru_cache(maxsize=4096)
def _clear(place: str) -> None:
    for folder in left_behind(Path(place), STAGE):
        shutil.rmtree(folder, ignore_errors=True)


def not_written(path: Path, failure: OSError) -> NotWrittenError:
    """Say why a file could not be written."""
    if failure.errno in FULL or _is_full(path.parent):
        return NotWrittenError(
            "output.disk_full",
            f"Expected room on the disk for {path.name}, found it full.",
            "Free some space or choose another folder.",
        )
    reason = os.strerror(failure.errno) if failure.errno else "the file could not be finished"
    return NotWrittenError(
        "output.unwritable",
        f"Expected to write {path.name} into the folder {path.parent}, found: {reason}.",
        "Check the folder and its permissions, or choose another.",
    )


def _is_full(folder: Path) -> bool:
    """Tell whether a disk has no room left; SimpleITK's errors do not."""
    return folder.is_dir() and shutil.disk_usage(folder).free < FULL_BYTES


def _umask() -> int:
    """What is taken from everybody on new files; the system tells it only by changing it."""
    value = os.umask(0o077)
    os.umask(value)
    return value
