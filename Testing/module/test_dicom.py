"""A scan of Slicer's DICOM database is exported as DICOM by a click, any other is not."""

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import slicer
import slicer.util
from pydicom.uid import ParametricMapStorage, SegmentationStorage
from PySide6 import QtWidgets

from Testing.engine.conftest import one_slice
from Testing.module.opened import Opened, torso
from Testing.module.test_unhappy import GONE_WITHIN, LATE
from Testing.slicer.processes import soon

pytest.importorskip("highdicom", reason="highdicom is not installed")

LONGEST = 120.0


@pytest.fixture
def loaded(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A series, loaded from a database that knows its files."""
    known: dict[str, str] = {}
    for index, values in enumerate(torso().astype(np.float32)):
        slice_ = one_slice(values, index, "1.2.3")
        slice_.StudyInstanceUID, slice_.FrameOfReferenceUID = "1.2.3.4", "1.2.3.5"
        file = tmp_path / "series" / f"{index:03}.dcm"
        file.parent.mkdir(exist_ok=True)
        slice_.save_as(file, enforce_file_format=True)
        known[slice_.SOPInstanceUID] = str(file)
    node = slicer.util.loadVolume(next(iter(known.values())))
    node.SetAttribute("DICOM.instanceUIDs", " ".join(known))
    database = SimpleNamespace(isOpen=True, fileForInstance=lambda uid: known.get(uid, ""))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
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
