"""Reading with the panel: the scan is seen, findings are gone to, and nothing said is lost."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util
from PySide6 import QtTest

from ScreenerSlicerLib.process.job_maker import STUB, JobMaker
from ScreenerSlicerLib.result import PROVENANCE
from ScreenerSlicerLib.scene.mark import Mark
from Testing.host.application import Application
from Testing.module.opened import Opened, torso

RARITY, PLACE, VERDICT = 1, 5, 6


def type_into(opened: Opened, text: str) -> None:
    """Type a comment, and do not press Enter."""
    opened.ui.commentEdit.setFocus()
    opened.ui.commentEdit.selectAll()
    QtTest.QTest.keyClicks(opened.ui.commentEdit, text)


def comments(opened: Opened) -> list[str]:
    return [row.comment for row in opened.result.rows]


def test_the_first_finding_is_gone_to_and_marked(seen: Opened) -> None:
    seen.add(torso())
    result = seen.screen()
    finding = result.findings[0]
    for view in seen.host.scene.views.slices.values():
        matrix = view.node.GetSliceToRAS()
        normal = [matrix.GetElement(row, 2) for row in range(3)]
        origin = [matrix.GetElement(row, 3) for row in range(3)]
        assert abs((np.array(finding.peak_ras) - origin) @ normal) < 1e-3
    bounds = [0.0] * 6
    Mark(slicer.mrmlScene).node.GetRASBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    assert (low < finding.peak_ras).all()
    assert (high > finding.peak_ras).all()
    assert (high - low).max() < 60
    # It is nobody's region, and goes with the finding.
    assert seen.ui.regionSelector.nodeCount() == 0
    seen.ui.thresholdSlider.value = 5.5
    seen.host.wait(lambda: seen.table() == [])
    assert Mark(slicer.mrmlScene).node is None


def test_sections_open_when_they_have_something_to_say(opened: Opened) -> None:
    ui = opened.ui
    assert ui.heatMapButton.collapsed
    assert ui.findingsButton.collapsed
    opened.add(torso())
    opened.screen()
    assert not ui.heatMapButton.collapsed
    assert not ui.findingsButton.collapsed
    assert ui.scanButton.collapsed
    slicer.mrmlScene.Clear(0)
    assert ui.findingsButton.collapsed


@pytest.mark.parametrize(
    "leave", ["next", "row", "verdict", "threshold", "module", "pause", "scan"]
)
def test_a_comment_is_kept_however_the_reader_goes_on(opened: Opened, leave: str) -> None:
    opened.add(torso())
    result = opened.screen()
    opened.click_row(1)
    type_into(opened, "a plate")
    if leave == "next":
        opened.host.press(opened.ui.commentEdit, "Alt+N")
        opened.host.wait(lambda: result.navigation.current == 1)
    elif leave == "row":
        opened.click_row(0)
    elif leave == "verdict":
        opened.host.press(opened.ui.commentEdit, "Alt+A")
        opened.host.wait(lambda: result.rows[1].verdict == "accepted")
    elif leave == "threshold":
        opened.ui.thresholdSlider.value = 3.9
        opened.host.wait(lambda: len(opened.table()) == 1)
        opened.ui.thresholdSlider.value = 3.0
        opened.host.wait(lambda: len(opened.table()) == 2)
    elif leave == "module":
        opened.widget.exit()
    elif leave == "pause":
        opened.host.wait(lambda: result.rows[1].comment != "")
        assert opened.ui.commentEdit.hasFocus()
    else:
        opened.add(torso(), "Other")
    assert [row.comment for row in result.rows] == ["", "a plate"]


def test_a_list_is_sorted_by_any_column_and_walked_in_its_order(opened: Opened) -> None:
    opened.add(torso())
    result = opened.screen()
    header = opened.ui.findingsTable.horizontalHeader()
    ml = [row.finding.volume_ml for row in result.rows]
    smallest = int(np.argmin(ml)) + 1
    header.sectionClicked.emit(2)
    assert opened.table()[-1][0] == str(smallest)
    header.sectionClicked.emit(2)
    assert opened.table()[0][0] == str(smallest)
    opened.click_row(0)
    assert result.navigation.current == smallest
    opened.host.click(opened.ui.nextButton)
    assert result.navigation.current == 3 - smallest
    assert opened.ui.findingsTable.currentRow() == 1
    assert opened.ui.findingLabel.text.startswith(f"{3 - smallest}: ")


def test_the_list_fits_the_panel(opened: Opened) -> None:
    opened.add(torso())
    opened.screen()
    opened.host.app.processEvents()
    table = opened.ui.findingsTable
    assert table.horizontalScrollBar().maximum == 0
    assert table.horizontalHeader().length() <= table.viewport().width
    assert "of the scan, slice " in opened.ui.findingLabel.text
    # A verdict with a note beside it cuts no place.
    opened.host.click(opened.ui.acceptButton)
    opened.host.write(opened.ui.commentEdit, "a plate")
    for row in range(table.rowCount):
        text = table.item(row, PLACE).text()
        wide = table.fontMetrics().horizontalAdvance(text)
        assert table.columnWidth(PLACE) > wide, text
    assert table.horizontalScrollBar().maximum == 0


def test_nothing_is_called_rarer_than_was_counted(opened: Opened) -> None:
    opened.add(torso())
    result = opened.screen()
    label = opened.ui.findingLabel
    assert "As rare as 0.0010 % of" in label.text
    node = result.map_node
    record = json.loads(node.GetAttribute(PROVENANCE))
    record["model"]["rarity_counted_up_to"] = 4.36
    node.SetAttribute(PROVENANCE, json.dumps(record))
    opened.click_row(0)
    assert "Rarer than 0.0050 % of" in label.text
    opened.click_row(1)
    assert "As rare as 0.010 % of" in label.text


def test_a_run_makes_the_next_guess_better(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.add(torso())
    assert "a guess by the scan" in opened.ui.cardLabel.text
    opened.screen()
    # A stub is no measure.
    assert opened.widget.panel.settings.times_as_long() == {}
    monkeypatch.setattr(JobMaker, "measured_seconds_a_tile", 1.0)
    opened.screen()
    (ratio,) = opened.widget.panel.settings.times_as_long().values()
    assert 0 < ratio < 20
    assert "guess" not in opened.ui.cardLabel.text
    assert "about " in opened.ui.cardLabel.text


def test_a_threshold_is_typed_in_the_unit_that_a_reader_likes(opened: Opened) -> None:
    opened.add(torso())
    opened.screen()
    opened.ui.unitBox.setCurrentIndex(1)
    assert opened.ui.thresholdEdit.text == "1,000"
    assert opened.table()[0][RARITY] == "100,000"
    opened.host.write(opened.ui.thresholdEdit, "7943")
    assert opened.ui.thresholdSlider.value == pytest.approx(3.9, abs=1e-3)
    opened.host.wait(lambda: len(opened.table()) == 1)
    opened.ui.unitBox.setCurrentIndex(2)
    opened.host.write(opened.ui.thresholdEdit, "0.1 %")
    assert opened.parameters.threshold == pytest.approx(3.0)
    opened.host.write(opened.ui.thresholdEdit, "a few")
    assert opened.ui.thresholdEdit.text == "0.10 %"
    # It is a habit of the reader, not of the scene.
    slicer.mrmlScene.Clear(0)
    assert opened.ui.unitBox.currentIndex == 2


def test_scan_and_map_belong_together(seen: Opened) -> None:
    first = seen.add(torso())
    of_first = seen.screen().map_node
    second = seen.add(torso(), "Other")
    assert seen.ui.mapSelector.currentNode() is None
    for view in seen.host.scene.views.slices.values():
        assert view.composite.GetForegroundVolumeID() is None
    assert seen.table() == []
    seen.ui.inputSelector.setCurrentNode(first)
    assert seen.ui.mapSelector.currentNode() is of_first
    assert len(seen.table()) == 2
    seen.ui.inputSelector.setCurrentNode(second)
    seen.ui.mapSelector.setCurrentNode(of_first)
    assert seen.ui.inputSelector.currentNode() is first
    assert seen.backgrounds() == {first.GetID()}


def test_the_scan_that_slicer_shows_is_chosen_and_no_hidden_one(
    blind_application: Application,
) -> None:
    hidden = slicer.util.addVolumeFromArray(torso(), name="CT rarity in 3D")
    hidden.SetHideFromEditors(True)
    slicer.util.addVolumeFromArray(torso(), name="Earlier")
    shown = slicer.util.addVolumeFromArray(torso(), name="Shown")
    selection = blind_application.app.applicationLogic().GetSelectionNode()
    selection.SetActiveVolumeID(shown.GetID())
    opened = Opened.in_host(blind_application, STUB)
    assert opened.ui.inputSelector.currentNode() is shown
    opened.parameters.inputVolume = None
    selection.SetActiveVolumeID(hidden.GetID())
    opened.widget.initializeParameterNode()
    assert opened.ui.inputSelector.currentNode().GetName() == "Earlier"


def test_the_database_is_asked_once_and_only_when_it_is_open(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    database = SimpleNamespace(
        isOpen=True, fileForInstance=lambda uid: asked.append(uid) or f"{tmp_path}/{uid}"
    )
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    scan = opened.add(torso())
    scan.SetAttribute("DICOM.instanceUIDs", " ".join(f"1.{n}" for n in range(64)))
    opened.screen()
    opened.ui.folderEdit.currentPath = str(tmp_path)
    assert opened.ui.dicomMapButton.enabled
    once = len(asked)
    assert once <= 2 * 64
    for threshold in np.linspace(2, 4, 10):
        opened.ui.thresholdSlider.value = float(threshold)
    assert len(asked) == once
    database.isOpen = False
    opened.ui.thresholdSlider.value = 3.0
    assert not opened.ui.dicomMapButton.enabled
    assert len(asked) == once


def test_one_click_leads_from_the_sample_to_its_result(opened: Opened) -> None:
    opened.host.click(opened.ui.sampleButton)
    assert opened.ui.screenButton.text == "Cancel"
    assert not opened.ui.sampleButton.enabled
    opened.wait_for_end()
    assert opened.result.scan_node.GetName() == "Screener sample phantom"
    assert opened.result.navigation.current == 1
    assert opened.ui.sampleButton.enabled


def test_what_is_said_of_a_result_goes_with_its_scene(opened: Opened) -> None:
    opened.add(torso())
    opened.screen()
    assert opened.ui.messageLabel.text.startswith("Done in ")
    slicer.mrmlScene.Clear(0)
    assert opened.ui.messageLabel.text == ""


def test_a_panel_that_could_not_be_made_goes_quietly(
    blind_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened.in_host(blind_application, STUB)
    module = type(opened.widget)
    widget = module.__new__(module)
    slicer.util.VTKObservationMixin.__init__(widget)
    widget._is_set_up = False
    widget.cleanup()
