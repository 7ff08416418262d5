"""Regular files below a folder: links are followed, loops are not, and pipes are never opened."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ctscreener.errors import InputError


def files_below(folder: Path) -> list[Path]:
    """List the regular files of a folder and of its subfolders.

    Links to files and to folders are followed; a folder that several ways lead to is entered
    once. Pipes, sockets and devices are left out: opening one may wait for ever.

    Arguments:
        folder: A folder.

    Returns:
        The files, in the order of their paths.

    Raises:
        InputError: `scan.dangling_link` for a link to nothing, `scan.unreadable` for a folder
            that may not be entered.
    """
    found: list[Path] = []
    dangling: list[Path] = []
    try:
        for path, mode in _entries(folder, set()):
            if mode is None:
                dangling.append(path)
            elif stat.S_ISREG(mode):
                found.append(path)
    except OSError as failure:
        raise InputError(
            "scan.unreadable",
            f"Expected a readable folder, found: {failure.strerror} "
            f"({Path(failure.filename or folder).name}).",
            "Check the permissions of the folder and its files.",
        ) from failure
    if dangling:
        first = min(dangling)
        more = f" and {len(dangling) - 1} more" if len(dangling) > 1 else ""
        raise InputError(
            "scan.dangling_link",
            f"Expected every file of {folder.name} in its place, found a link to nothing: "
            f"{first.relative_to(folder)}{more}.",
            "Fetch the files (git annex get, datalad get), or remove the link.",
        )
    return sorted(found)


def _entries(folder: Path, entered: set[tuple[int, int]]) -> Iterator[tuple[Path, int | None]]:
    """Give what is below a folder with its mode; None for a link to nothing."""
    here = folder.stat()
    if (here.st_dev, here.st_ino) in entered:
        return
    entered.add((here.st_dev, here.st_ino))
    with os.scandir(folder) as entries:
        inside = sorted(Path(entry.path) for entry in entries)
    for path in inside:
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            yield path, None
            continue
        except OSError as failure:
            # A link that leads to itself.
            if not path.is_symlink():
                raise
            del failure
            yield path, None
            continue
        if stat.S_ISDIR(mode):
            yield from _entries(path, entered)
        else:
            yield path, mode
