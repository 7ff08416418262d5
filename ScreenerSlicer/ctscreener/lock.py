"""A result folder for one run alone: a lock file that says which process holds it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ctscreener import owner
from ctscreener.errors import InputError
from ctscreener.whole_file import clear_left_behind, clear_tree, make_folder, not_written

UNWRITTEN_SECONDS = 10.0
"""A lock that says nothing for so long was left by a process killed in the middle of making it."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a result folder, and clear away what killed runs have left around it.

    Arguments:
        folder: The result folder, which need not exist; those above it are made, and unmade when
            nothing came to stand in them.

    Raises:
        InputError: `output.busy` while another run holds it, or `output.unwritable`.
    """
    folder = folder.absolute()
    try:
        new = [] if folder.is_dir() else make_folder(folder.parent)
        # A run that begins before the folder is there locks its place beside, all others inside.
        within, beside = folder / ".screener.lock", folder.parent / f".{folder.name}.screener.lock"
        mine = within if folder.is_dir() else beside
        _refuse_if_held(folder, beside if mine is within else within)
        _take(folder, mine)
    except OSError as error:
        raise not_written(folder, error) from error
    try:
        clear_left_behind(folder.parent)
        clear_tree(folder)
        yield
    finally:
        with suppress(OSError):
            mine.unlink()
        with suppress(OSError):
            for place in new:
                place.rmdir()


def _take(folder: Path, lock: Path) -> None:
    """Make the lock file; that of a process that has ended is no obstacle."""
    while True:
        try:
            number = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            _refuse_if_held(folder, lock)
            continue
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(owner.mark())
        return


def _refuse_if_held(folder: Path, lock: Path) -> None:
    """Refuse to go on beside a run that is alive; remove the lock of one that is not.

    Raises:
        InputError: `output.busy`.
    """
    try:
        marked = lock.read_text(encoding="ascii", errors="replace").strip()
        touched = lock.stat().st_mtime
    except FileNotFoundError:
        return
    if owner.is_gone(marked, touched) or _is_unwritten(marked, touched):
        lock.unlink(missing_ok=True)
        return
    raise InputError(
        "output.busy",
        f"Expected {folder} for this run alone, found that another one (process "
        f"{owner.pid_of(marked) or 'unknown'}) is writing there.",
        f"Wait for it, or choose another --out. If no run is on, remove {lock.name}.",
    )


def _is_unwritten(marked: str, touched: float) -> bool:
    """Whether nobody has come to write into a lock file."""
    return not owner.pid_of(marked) and time.time() - touched > UNWRITTEN_SECONDS
