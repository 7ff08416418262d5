"""What `slicer.dicomDatabase` is: a `ctkDICOMDatabase`, as far as a module asks it for something.

As CTK's, it tells of nothing that goes wrong: what it cannot take in is not there afterwards.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any, final

import pydicom
from pydicom.errors import InvalidDicomError
from PySide6 import QtCore

from Testing.host.stand_in import stands_for_cpp

FIELDS = ("Modality", "SeriesDescription", "SeriesNumber", "BodyPartExamined")
"""Columns of a series that can be asked for, beside its identifiers."""


@final
@stands_for_cpp
class ctkDICOMDatabase(QtCore.QObject):
    """A database in a folder, or closed as before the DICOM module was ever opened.

    Arguments:
        folder: Its own folder; None for one that is closed.
    """

    databaseChanged = QtCore.Signal()

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._headers: dict[str, pydicom.Dataset] = {}

    def _is_open(self) -> bool:
        return self._folder is not None

    def _directory(self) -> str:
        return str(self._folder or "")

    isOpen = QtCore.Property(bool, _is_open)
    databaseDirectory = QtCore.Property(str, _directory)

    def insert(self, path: str, store: bool = True, thumbnail: bool = True) -> None:
        """Take a file in, as a copy or as it lies; nothing where it is not enough of DICOM."""
        if self._folder is None or type(path) is not str:
            return
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except (OSError, InvalidDicomError):
            return
        uids = [header.get(f"{level}InstanceUID") for level in ("Study", "Series", "SOP")]
        if not all(uids) or uids[2] in self._files:
            return
        place = Path(path)
        if store:
            # CTK's short names.
            parts = [hashlib.md5(str(uid).encode()).hexdigest() for uid in uids]
            place = self._folder.joinpath("dicom", parts[0][:8], parts[1][:8], parts[2] + ".dcm")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        self._files[str(uids[2])], self._headers[str(uids[2])] = place, header
        self.databaseChanged.emit()

    def removeSeries(self, series: str) -> bool:
        """Remove a series, with the files that are copies."""
        for uid in self.instancesForSeries(series):
            file = self._files.pop(uid)
            del self._headers[uid]
            if self._folder is not None and file.is_relative_to(self._folder):
                file.unlink(missing_ok=True)
        self.databaseChanged.emit()
        return True

    def fileForInstance(self, uid: str) -> str:
        """The path of an instance; empty where it is not known."""
        return str(self._files.get(uid, ""))

    def instanceForFile(self, path: str) -> str:
        """The instance of a path; empty where it is not known."""
        return next((uid for uid, file in self._files.items() if str(file) == path), "")

    def patients(self) -> list[str]:
        """The numbers of all patients, as texts."""
        return [str(number) for number, _ in enumerate(self._patients(), start=1)]

    def studiesForPatient(self, patient: str) -> list[str]:
        """The studies of a patient by its number."""
        wanted = self._patients()[int(patient) - 1]
        return self._distinct("StudyInstanceUID", PatientID=wanted)

    def seriesForStudy(self, study: str) -> list[str]:
        """The series of a study."""
        return self._distinct("SeriesInstanceUID", StudyInstanceUID=study)

    def instancesForSeries(self, series: str, hits: int = -1) -> list[str]:
        """The instances of a series, all or the first ones."""
        found = self._distinct("SOPInstanceUID", SeriesInstanceUID=series)
        return found[:hits] if hits > 0 else found

    def filesForSeries(self, series: str, hits: int = -1) -> list[str]:
        """The paths of a series, all or the first ones, in no order of place."""
        return [self.fileForInstance(uid) for uid in self.instancesForSeries(series, hits)]

    def descriptionForSeries(self, series: str) -> str:
        """What a series is called."""
        return self.fieldForSeries("SeriesDescription", series)

    def fieldForSeries(self, field: str, series: str) -> str:
        """A column of a series; empty where there is none."""
        uids = self.instancesForSeries(series, 1)
        return str(self._headers[uids[0]].get(field, "")) if uids and field in FIELDS else ""

    def _patients(self) -> list[str]:
        return self._distinct("PatientID")

    def _distinct(self, name: str, **where: Any) -> list[str]:
        found = [
            str(header.get(name, ""))
            for header in self._headers.values()
            if all(header.get(key, "") == value for key, value in where.items())
        ]
        return list(dict.fromkeys(found))
