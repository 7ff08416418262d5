"""DICOM objects on their way into Slicer's DICOM database."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, final

from ctscreener import owner
from ctscreener.errors import InputError
from ScreenerSlicerLib.export.dicom_job import Kind, Written
from ScreenerSlicerLib.process.run import PREFIX
from ScreenerSlicerLib.translation import tr as _


class Store(Protocol):
    """What is asked of `slicer.dicomDatabase`."""

    @property
    def isOpen(self) -> bool:
        """Whether anything can be put into it."""
        ...

    def insert(self, path: str, store: bool, thumbnail: bool) -> None:
        """Take a file in; what it cannot take is told in a log alone."""

    def fileForInstance(self, uid: str) -> str:
        """Return the path of an instance; empty where it is not known."""
        ...


@final
class Deposit:
    """A folder in which objects are made that the database then copies.

    Whoever makes one closes it. A Slicer that is killed before leaves the folder to the next one,
    as it does with those of runs.

    Arguments:
        store: Slicer's database.
        folder: Where the folder is made.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{owner.mark()}-", dir=folder))
        self._waiting: list[Written] = []

    def file(self, kind: Kind) -> Path:
        """Say where an object is to be made."""
        return self._folder / f"{kind}.dcm"

    def begin(self, made: Sequence[Written]) -> None:
        """Put these into the database, one at each `step`."""
        self._waiting = list(made)

    def step(self) -> bool:
        """Put the next one in: a copy, which a window waits for; returns whether there is another.

        Raises:
            InputError: `dicom.database` where the database did not keep it.
        """
        one = self._waiting.pop(0)
        kept = ""
        if self._store.isOpen:
            # Without a thumbnail: CTK draws none of maps and reports.
            self._store.insert(str(one.path), True, False)
            kept = self._store.fileForInstance(one.uid)
        # A database in memory would know the file that is removed here.
        if not kept or Path(kept).parent == self._folder:
            raise InputError(
                "dicom.database",
                _("Expected Slicer's DICOM database to keep {name}, which it did not.").format(
                    name=one.path.name
                ),
                _("Open the DICOM module once, or save the files in a folder."),
            )
        return bool(self._waiting)

    def close(self) -> None:
        """Remove the folder; may be called more than once."""
        shutil.rmtree(self._folder, ignore_errors=True)
