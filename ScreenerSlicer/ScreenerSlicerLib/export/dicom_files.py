"""The DICOM files that a volume was loaded from, as Slicer's database knows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, final

import slicer

INSTANCES = "DICOM.instanceUIDs"
"""The attribute in which Slicer's DICOM reader leaves the instances of a volume."""


class Database(Protocol):
    """What is asked of `slicer.dicomDatabase`."""

    @property
    def isOpen(self) -> bool:
        """Whether it can be asked at all."""
        ...

    def fileForInstance(self, uid: str) -> str:
        """Return the path of an instance; empty where it is not known."""
        ...


def dicom_files(
    volume_node: slicer.vtkMRMLScalarVolumeNode | None, database: Database | None
) -> list[Path]:
    """Find the files of a volume.

    Arguments:
        volume_node: Any volume, or none.
        database: Slicer's; None where there is none, and it may be closed.

    Returns:
        One file a slice; nothing where the volume does not come from the database, or files of
        it were removed from there.
    """
    if database is None or not database.isOpen:
        return []
    found = [database.fileForInstance(uid) for uid in _uids(volume_node)]
    return [Path(file) for file in found] if all(found) else []


@final
class KnownFiles:
    """Whether a volume's files are known, asked of the database once: it is a query a slice.

    Arguments:
        database: Returns Slicer's database; None where there is none.
    """

    def __init__(self, database: Callable[[], Database | None]) -> None:
        self._database = database
        self._asked: tuple[list[str], bool] | None = None
        self._known = False

    def forget(self) -> None:
        """Ask anew: files may have been imported or removed."""
        self._asked = None

    def are_there(self, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> bool:
        """Whether the files of a volume are known, as far as was asked."""
        database = self._database()
        asked = _uids(volume_node), database is not None and database.isOpen
        if asked != self._asked:
            self._known = bool(self.now(volume_node))
            self._asked = asked
        return self._known

    def now(self, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> list[Path]:
        """Return the files as the database knows them at this moment."""
        return dicom_files(volume_node, self._database())


def _uids(volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> list[str]:
    listed: str = volume_node.GetAttribute(INSTANCES) or "" if volume_node else ""
    return listed.split()
