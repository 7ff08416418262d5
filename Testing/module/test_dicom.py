"""A scan of Slicer's DICOM database is exported as DICOM by a click, any other is not."""

import json
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
import slicer
import slicer.util
from pydicom.uid import ComprehensiveSRStorage, ParametricMapStorage, SegmentationStorage
from PySide6 import QtWidgets

from Testing.engine.conftest import one_slice
from Testing.host.dicom_database import ctkDICOMDatabase
from Testing.module.opened import Opened, torso
from Testing.module.test_unhappy import GONE_WITHIN, LATE
from Testing.slicer.dicom_series import read_by_dcmqi, run_dcmqi
from Testing.slicer.processes import soon

pytest.importorskip("highdicom", reason="highdicom is not installed")

LONGEST = 120.0


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> ctkDICOMDatabase:
    """Slicer's database, with a series whose files lie elsewhere."""
    made = ctkDICOMDatabase(tmp_path / "database")
    (tmp_path / "series").mkdir()
    for index, values in enumerate(torso().astype(np.float32)):
        slice_ = one_slice(values, index, "1.2.3")
        slice_.StudyInstanceUID, slice_.FrameOfReferenceUID = "1.2.3.4", "1.2.3.5"
        file = tmp_path / "series" / f"{index:03}.dcm"
        slice_.save_as(file, enforce_file_format=True)
        made.insert(str(file), False, False)
    monkeypatch.setattr(slicer, "dicomDatabase", made, raising=False)
    return made


@pytest.fixture
def loaded(opened: Opened, database: ctkDICOMDatabase, tmp_path: Path) -> Opened:
    """That series, loaded and screened."""
    uids = database.instancesForSeries("1.2.3")
    node = slicer.util.loadVolume(database.fileForInstance(uids[0]))
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    opened.ui.inputSelector.setCurrentNode(node)
    opened.screen()
    opened.host.click(opened.ui.exportButton)
    kept = tmp_path / "kept"
    kept.mkdir()
    opened.ui.folderEdit.currentPath = str(kept)
    return opened


def test_map_and_segments_are_written_as_dicom(loaded: Opened, tmp_path: Path) -> None:
    loaded.click_row(0)
    loaded.host.click(loaded.ui.rejectButton)
    export(loaded, loaded.ui.dicomMapButton)
    export(loaded, loaded.ui.dicomSegmentsButton)
    written = {pydicom.dcmread(file).SOPClassUID: file for file in (tmp_path / "kept").iterdir()}
    assert set(written) == {ParametricMapStorage, SegmentationStorage}
    segments = pydicom.dcmread(written[SegmentationStorage])
    assert len(segments.SegmentSequence) == len(loaded.table()) - 1
    assert segments.StudyInstanceUID == "1.2.3.4"
    rarity = pydicom.dcmread(written[ParametricMapStorage])
    assert "RESEARCH USE ONLY" in rarity.SeriesDescription
    assert loaded.ui.exportLabel.text.startswith("Written: ")


def test_all_three_go_into_the_database_and_come_back(
    loaded: Opened, database: ctkDICOMDatabase, tmp_path: Path, temporary: Path
) -> None:
    loaded.click_row(0)
    loaded.host.write(loaded.ui.commentEdit, "seen before")
    loaded.ui.folderEdit.currentPath = ""
    export(loaded, loaded.ui.databaseButton)
    assert loaded.ui.exportLabel.text == "In the DICOM database: 3 objects"
    files = {
        pydicom.dcmread(file, stop_before_pixels=True).SOPClassUID: Path(file)
        for series in database.seriesForStudy("1.2.3.4")
        for file in database.filesForSeries(series, 1)
        if series != "1.2.3"
    }
    assert set(files) == {ParametricMapStorage, SegmentationStorage, ComprehensiveSRStorage}
    assert all(file.is_relative_to(tmp_path / "database") for file in files.values())
    count = len(loaded.table())
    read_by_dcmqi("segimage2itkimage", files[SegmentationStorage], tmp_path / "segments")
    assert len(list((tmp_path / "segments").glob("*.nrrd"))) == count
    read_by_dcmqi("paramap2itkimage", files[ParametricMapStorage], tmp_path / "map")
    run_dcmqi(
        *("tid1500reader", files[ComprehensiveSRStorage]),
        *("--outputMetadata", tmp_path / "report.json"),
    )
    read = json.loads((tmp_path / "report.json").read_text())
    assert len(read["Measurements"]) == count
    assert "seen before" in json.dumps(read["Measurements"][0])
    assert list(temporary.glob("screener-*")) == []
    assert list((tmp_path / "kept").iterdir()) == []


def test_without_a_finding_the_map_alone_goes_into_the_database(
    loaded: Opened, database: ctkDICOMDatabase
) -> None:
    for row in range(len(loaded.table())):
        loaded.click_row(row)
        loaded.host.click(loaded.ui.rejectButton)
    assert not loaded.ui.dicomReportButton.enabled
    export(loaded, loaded.ui.databaseButton)
    assert loaded.ui.exportLabel.text == "In the DICOM database: 1 objects"


def test_what_the_database_does_not_keep_is_told(
    loaded: Opened, database: ctkDICOMDatabase, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setattr(ctkDICOMDatabase, "insert", lambda *ignored: None)
    export(loaded, loaded.ui.databaseButton)
    assert "Expected Slicer's DICOM database to keep map.dcm" in loaded.ui.exportLabel.text
    assert list(temporary.glob("screener-*")) == []


def test_a_report_is_written_with_the_segments_that_it_refers_to(
    loaded: Opened, tmp_path: Path
) -> None:
    export(loaded, loaded.ui.dicomReportButton)
    kept = {pydicom.dcmread(file).SOPClassUID: file for file in (tmp_path / "kept").iterdir()}
    assert set(kept) == {SegmentationStorage, ComprehensiveSRStorage}
    evidence = pydicom.dcmread(
        kept[ComprehensiveSRStorage]
    ).CurrentRequestedProcedureEvidenceSequence
    uids = {
        one.ReferencedSOPInstanceUID
        for study in evidence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert pydicom.dcmread(kept[SegmentationStorage]).SOPInstanceUID in uids


def test_a_file_that_was_moved_away_is_told(loaded: Opened, tmp_path: Path) -> None:
    (tmp_path / "series" / "005.dcm").unlink()
    export(loaded, loaded.ui.dicomMapButton)
    assert "found a file that cannot be read" in loaded.ui.exportLabel.text
    assert "\n" not in loaded.ui.exportLabel.text
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_cancelled_export_leaves_nothing(
    loaded: Opened, tmp_path: Path, temporary: Path
) -> None:
    loaded.host.click(loaded.ui.dicomMapButton)
    assert not loaded.ui.dicomSegmentsButton.enabled
    assert "being made" in loaded.ui.dicomSegmentsButton.toolTip
    assert loaded.ui.segmentsButton.enabled
    loaded.host.wait(lambda: "highdicom" in loaded.ui.exportLabel.text, LONGEST)
    assert loaded.ui.exportBar.visible
    began = time.monotonic()
    loaded.host.click(loaded.ui.exportCancelButton)
    loaded.host.wait(lambda: not loaded.widget.panel.is_exporting, LONGEST)
    assert time.monotonic() - began < GONE_WITHIN + LATE
    assert loaded.ui.exportLabel.text == "Cancelled. Nothing was written."
    assert not loaded.ui.exportBar.visible
    assert loaded.ui.dicomMapButton.enabled
    assert list((tmp_path / "kept").iterdir()) == []
    assert list(temporary.glob("screener-*")) == []


def test_an_export_ends_with_the_application(
    loaded: Opened, tmp_path: Path, temporary: Path
) -> None:
    loaded.host.click(loaded.ui.dicomMapButton)
    loaded.host.wait(lambda: "highdicom" in loaded.ui.exportLabel.text, LONGEST)
    loaded.host.app.aboutToQuit.emit()
    assert soon(lambda: not list(temporary.glob("screener-*")), GONE_WITHIN + LATE)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_folder_that_is_gone_meanwhile_is_told(loaded: Opened, tmp_path: Path) -> None:
    loaded.host.click(loaded.ui.dicomMapButton)
    (tmp_path / "kept").rmdir()
    loaded.host.wait(lambda: not loaded.widget.panel.is_exporting, LONGEST)
    assert "Expected to write" in loaded.ui.exportLabel.text
    assert not (tmp_path / "kept").exists()


def export(opened: Opened, button: QtWidgets.QWidget) -> None:
    """Click a button that makes a DICOM object, and wait until that is done."""
    opened.host.click(button)
    assert opened.widget.panel.is_exporting
    opened.host.wait(lambda: not opened.widget.panel.is_exporting, LONGEST)


def test_any_other_scan_is_not_exported_as_dicom(opened: Opened, tmp_path: Path) -> None:
    opened.add(torso())
    opened.screen()
    opened.ui.folderEdit.currentPath = str(tmp_path)
    assert opened.ui.tablesButton.enabled
    assert not opened.ui.dicomMapButton.enabled
    assert "DICOM database" in opened.ui.dicomMapButton.toolTip
