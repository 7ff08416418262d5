"""Files below a folder: links are followed, loops are not, and pipes are never opened."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctscreener.errors import InputError


@dataclass(frozen=True)
class Tree:
    """What lies below a folder, hidden folders left out.

    Arguments:
        files: Regular files, and links to such, in the order of their paths.
        dangling: Links to nothing, likewise; none that are hidden.
    """

    files: list[Path]
    dangling: list[Path]


def list_tree(folder: Path) -> Tree:
    """List what lies in a folder and in its subfolders.

    Links to files and to folders are followed; a folder that several ways lead to is entered
    once. Pipes, sockets and devices are left out: opening one may wait for ever.

    Arguments:
        folder: A folder.

    Returns:
        Its files, and the links that lead nowhere.

    Raises:
        InputError: `scan.unreadable` for a folder that may not be entered.
    """
    tree = Tree([], [])
    try:
        for path, mode in _entries(folder, set()):
            if mode is None and not path.name.startswith("."):
                tree.dangling.append(path)
            elif mode is not None and stat.S_ISREG(mode):
                tree.files.append(path)
    except OSError as failure:
        raise InputError(
            "scan.unreadable",
            f"Expected a readable folder, found: {failure.strerror} "
            f"({Path(failure.filename or folder).name}).",
            "Check the permissions of the folder and its files.",
        ) from failure
    return Tree(sorted(tree.files), sorted(tree.dangling))


def files_below(folder: Path) -> list[Path]:
    """List the regular files of a folder and of its subfolders, see `list_tree`.

    Arguments:
        folder: A folder.

    Returns:
        The files, in the order of their paths.

    Raises:
        InputError: `scan.dangling_link` for a link to nothing, `scan.unreadable` for a folder
            that may not be entered.
    """
    tree = list_tree(folder)
    if tree.dangling:
        count = len(tree.dangling) - 1
        raise InputError(
            "scan.dangling_link",
            f"Expected every file of {folder.name} in its place, found a link to nothing: "
            f"{tree.dangling[0].relative_to(folder)}{f' and {count} more' if count else ''}.",
            "Fetch the files (git annex get, datalad get), or remove the link.",
        )
    return tree.files


def _entries(folder: Path, entered: set[tuple[int, int]]) -> Iterator[tuple[Path, int | None]]:
    """Give what is below a folder with its mode; None for a link to nothing."""
    here = folder.stat()
    if (here.st_dev, here.st_ino) in entered:
        return
    entered.add((here.st_dev, here.st_ino))
    with os.scandir(folder) as entries:
        inside = sorted(Path(entry.path) for entry in entries)
    for path in inside:
        mode = _mode(path)
        if mode is None or not stat.S_ISDIR(mode):
            yield path, mode
        elif not path.name.startswith("."):
            yield from _entries(path, entered)


def _mode(path: Path) -> int | None:
    """Return the mode of what a path leads to; None for a link to nothing, or to itself."""
    try:
        return path.stat().st_mode
    except OSError:
        if path.is_symlink():
            return None
        raise
