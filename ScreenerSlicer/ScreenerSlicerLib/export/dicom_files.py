"""The DICOM files that a volume was loaded from, as Slicer's database knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import slicer

INSTANCES = "DICOM.instanceUIDs"
"""The attribute in which Slicer's DICOM reader leaves the instances of a volume."""


class Database(Protocol):
    """What is asked of `slicer.dicomDatabase`."""

    def fileForInstance(self, uid: str) -> str:
        """Return the path of an instance; empty where it is not known."""
        ...


def dicom_files(
    volume_node: slicer.vtkMRMLScalarVolumeNode | None, database: Database | None
) -> list[Path]:
    """Find the files of a volume.

    Arguments:
        volume_node: Any volume, or none.
        database: Slicer's; None where there is none.

    Returns:
        One file a slice; nothing where the volume does not come from the database, or files of
        it were removed from there.
    """
    uids = (volume_node.GetAttribute(INSTANCES) or "").split() if volume_node else []
    if database is None:
        return []
    found = [database.fileForInstance(uid) for uid in uids]
    return [Path(file) for file in found] if all(found) else []
