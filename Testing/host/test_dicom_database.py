"""The stand-in for CTK's database keeps copies, and says nothing of what it does not take."""

from pathlib import Path

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

from Testing.host import pythonqt
from Testing.host.dicom_database import ctkDICOMDatabase
from Testing.slicer.dicom_series import GRIDS, write_series


@pytest.fixture
def database(tmp_path: Path) -> ctkDICOMDatabase:
    pythonqt.install()
    return ctkDICOMDatabase(tmp_path / "database")


def test_what_was_taken_in_outlives_its_source(database: ctkDICOMDatabase, tmp_path: Path) -> None:
    files = write_series(tmp_path, GRIDS["tilted"])
    for file in files:
        database.insert(str(file), True, False)
        file.unlink()
    (patient,) = database.patients()
    (study,) = database.studiesForPatient(patient)
    (series,) = database.seriesForStudy(study)
    kept = database.filesForSeries(series)
    assert len(kept) == len(files)
    assert all(Path(file).is_file() for file in kept)
    assert all(database.fileForInstance(database.instanceForFile(file)) == file for file in kept)
    assert database.fieldForSeries("Modality", series) == "CT"
    database.removeSeries(series)
    assert not any(Path(file).exists() for file in kept)
    assert database.patients() == []


def test_what_is_no_dicom_and_what_comes_too_early_is_lost_in_silence(
    database: ctkDICOMDatabase, tmp_path: Path
) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    database.insert(str(text))
    assert database.patients() == []
    closed = ctkDICOMDatabase()
    assert not closed.isOpen
    closed.insert(str(write_series(tmp_path, GRIDS["tilted"])[0]))
    assert closed.patients() == []


def test_it_takes_no_new_attributes(database: ctkDICOMDatabase) -> None:
    with pytest.raises(AttributeError):
        database.isOpened = True
