"""Tries: how often a worker ended while it was at a scan, told by files that it leaves.

What a scheduler counts also blames the scans that only waited beside the one that did it, and is
gone with the scheduler. So whoever begins leaves a file, and takes it away at whatever end but
its own.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ctscreener.whole_file import make_folder

MOST = 2
"""A scan on which so many workers have ended is set aside."""
HUNG = "hung"


@dataclass(frozen=True)
class Tries:
    """Files of tries, one folder for one run of a client.

    Arguments:
        folder: Where they are, on a disk that all workers share.
    """

    folder: Path

    def forget(self) -> None:
        """Begin anew: what ended together with a client or a scheduler is to blame for nothing."""
        make_folder(self.folder)
        for name in os.listdir(self.folder):
            (self.folder / name).unlink(missing_ok=True)

    def forget_one(self, name: str) -> None:
        """Do so for one scan."""
        for number in range(1, MOST + 1):
            self._file(name, number).unlink(missing_ok=True)

    def lost(self, name: str) -> list[str]:
        """How the workers ended that were at a scan: `hung`, or empty where they did not tell."""
        found = []
        for number in range(1, MOST + 1):
            with suppress(FileNotFoundError):
                found.append(self._file(name, number).read_text(encoding="ascii"))
        return found

    @contextmanager
    def begun(self, name: str) -> Iterator[Path]:
        """Leave a file for as long as the block runs, and longer if the process ends in it.

        Yields:
            The file, which takes how the process is about to end.
        """
        file = self._file(name, len(self.lost(name)) + 1)
        make_folder(self.folder)
        file.touch(mode=0o600)
        try:
            yield file
        finally:
            self.forget_one(name)

    def clear(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self.forget()
            self.folder.rmdir()

    def _file(self, name: str, number: int) -> Path:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / f"{digest[:24]}.{number}"
