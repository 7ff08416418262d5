"""The whole story of a reader, clicked: from the scan to what is kept of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.process.job_maker import STUB
from ScreenerSlicerLib.scene.findings_table import CONTENT
from Testing.module.opened import Opened, torso

VERDICT = 6
"""The column of verdicts."""


def test_from_the_first_click_to_the_saved_scene(
    seen: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, ui = seen.host, seen.ui
    assert ui.noticeLabel.text == NOTICE
    assert not ui.screenButton.enabled
    assert ui.screenButton.toolTip == "Load a CT, or the sample, and choose it above."

    scan = seen.add(torso())
    assert "80 x 72 x 64 voxels" in ui.cardLabel.text
    assert ui.screenButton.enabled

    # The tiles are waited for until they have been seen, however slow the machine is.
    go_on = tmp_path / "seen"
    monkeypatch.setenv("SCREENER_STUB", json.dumps({"pause": "scoring", "until": str(go_on)}))
    seen.use(STUB)
    seen.start()
    assert ui.screenButton.text == "Cancel"
    fractions: list[int] = []

    def scored() -> bool:
        fractions.append(ui.progressBar.value)
        return "9 of 10" in ui.progressLabel.text and "so far" in ui.progressLabel.text

    host.wait(scored, 60)
    go_on.touch()
    seen.wait_for_end()
    assert fractions == sorted(fractions)
    assert ui.messageLabel.text.startswith("Done in ")
    assert "From rarity 3.0 on: 2," in ui.findingsLabel.text

    result = seen.result
    assert result.navigation.current == 1
    assert ui.findingsTable.currentRow() == 0
    for view in host.scene.views.slices.values():
        assert view.composite.GetBackgroundVolumeID() == scan.GetID()
        assert view.composite.GetForegroundVolumeID() == result.map_node.GetID()
    assert [row[0] for row in seen.table()] == ["1", "2"]

    seen.click_row(1)
    peak = result.findings[1].peak_ras
    for view in host.scene.views.slices.values():
        matrix = view.node.GetSliceToRAS()
        origin = np.array([matrix.GetElement(row, 3) for row in range(3)])
        normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
        assert abs((np.array(peak) - origin) @ normal) < 1e-3

    host.click(ui.nextButton)
    assert result.navigation.current == 1
    host.click(ui.rejectButton)
    host.write(ui.commentEdit, "a plate")
    assert seen.table()[0][VERDICT] == "rejected *"
    assert ui.findingsTable.item(0, VERDICT).toolTip() == "a plate"

    folder = tmp_path / "kept"
    folder.mkdir()
    host.click(ui.exportButton)
    host.click(ui.segmentsButton)
    assert result.segmentation_node is not None
    assert result.segmentation_node.GetSegmentation().GetNumberOfSegments() == 1
    ui.folderEdit.currentPath = str(folder)
    host.click(ui.tablesButton)
    kept = json.loads((folder / "CT findings.json").read_text(encoding="utf-8"))
    assert [one["verdict"] for one in kept["findings"]] == ["rejected", ""]
    assert kept["findings"][0]["comment"] == "a plate"
    assert kept["provenance"]["synthetic"]

    before = seen.table()
    host.scene.save(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    assert seen.table() == []
    host.scene.load(tmp_path / "scene.mrb")
    host.wait(lambda: seen.table() != [])
    assert seen.table() == before
    assert ui.mapSelector.currentNode() is seen.result.map_node
    assert ui.inputSelector.currentNode().GetName() == "CT"


def test_sliders_show_at_once_and_the_list_follows(opened: Opened) -> None:
    opened.add(torso())
    result = opened.screen()
    opened.click_row(1)
    opened.host.click(opened.ui.unsureButton)

    opened.ui.thresholdSlider.value = 3.9
    assert result.heat_map.threshold == 3.9
    assert opened.ui.thresholdLabel.text.startswith("1 in 7,900 reference voxels")
    assert opened.ui.thresholdEdit.text == "3.9"
    assert len(opened.table()) == 2
    opened.host.wait(lambda: len(opened.table()) == 1)
    assert result.table.settings.threshold == 3.9

    opened.ui.thresholdSlider.value = 3.0
    opened.host.wait(lambda: len(opened.table()) == 2)
    assert opened.table()[1][VERDICT] == "unsure"

    opened.ui.minVolumeSpin.value = 50.0
    opened.host.wait(lambda: opened.table() == [])
    assert "Absence of colour is not absence of disease" in opened.ui.findingsLabel.text

    opened.ui.opacitySlider.value = 0.25
    opened.ui.colourRange.setValues(1.0, 5.0)
    assert result.heat_map.opacity == 0.25
    assert result.heat_map.colour_range == (1.0, 5.0)


def test_as_many_are_listed_as_a_reader_asks_for(opened: Opened, tmp_path: Path) -> None:
    opened.add(torso())
    ui, spin = opened.ui, opened.ui.mostFindingsSpin
    assert (spin.value, spin.minimum, spin.maximum) == (5, 1, 50)
    spin.value = 1
    result = opened.screen()
    assert [row[0] for row in opened.table()] == ["1"]
    assert "the 1 rarest of 2" in ui.findingsLabel.text
    # The list says it: what a run tells of its own doing is kept free.
    assert not ui.runNoticeLabel.visible
    coloured = result.heat_map.threshold
    opened.host.click(ui.rejectButton)

    spin.value = 7
    opened.host.wait(lambda: len(opened.table()) == 2)
    assert "From rarity 3.0 on: 2," in ui.findingsLabel.text
    assert opened.result is result, "no run was needed"
    opened.click_row(1)
    opened.host.click(ui.acceptButton)
    spin.value = 1
    opened.host.wait(lambda: len(opened.table()) == 1)
    assert result.heat_map.threshold == coloured
    opened.host.click(ui.exportButton)
    ui.folderEdit.currentPath = str(tmp_path)
    opened.host.click(ui.tablesButton)
    kept = json.loads((tmp_path / "CT findings.json").read_text(encoding="utf-8"))
    assert (kept["found"], len(kept["findings"]), kept["found_with"]["most"]) == (2, 1, 1)

    opened.host.scene.save(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    assert spin.value == 5
    opened.host.scene.load(tmp_path / "scene.mrb")
    opened.host.wait(lambda: opened.table() != [])
    assert spin.value == 1
    assert len(opened.table()) == 1
    spin.value = 2
    opened.host.wait(lambda: len(opened.table()) == 2)
    assert [row[VERDICT] for row in opened.table()] == ["rejected", "accepted"]


@pytest.mark.parametrize("said", [50, None])
def test_a_scene_of_before_opens_with_the_list_that_it_had(
    opened: Opened, tmp_path: Path, said: int | None
) -> None:
    opened.add(torso())
    node = opened.screen().table_node
    content = json.loads(node.GetAttribute(CONTENT))
    del content["settings"]["most"]
    if said:
        content["settings"]["most"] = said
    node.SetAttribute(CONTENT, json.dumps(content))
    opened.parameters.parameterNode.UnsetParameter("mostFindings")
    opened.host.scene.save(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    opened.host.scene.load(tmp_path / "scene.mrb")
    opened.host.wait(lambda: opened.table() != [])
    assert opened.ui.mostFindingsSpin.value == 50
    assert len(opened.table()) == 2


def test_a_second_screening_replaces_the_first_and_keeps_its_reviews(opened: Opened) -> None:
    opened.add(torso())
    assert "Earlier map" not in opened.ui.cardLabel.text
    first = opened.screen()
    assert "CT rarity: replaced, its reviews kept" in opened.ui.cardLabel.text
    opened.click_row(0)
    opened.host.click(opened.ui.acceptButton)
    second = opened.screen()
    assert second.map_node is not first.map_node
    assert opened.ui.mapSelector.nodeCount() == 1
    assert opened.ui.mapSelector.currentNode() is second.map_node
    assert second.map_node.GetName() == "CT rarity"
    assert opened.table()[0][VERDICT] == "accepted"


def test_a_second_screening_keeps_the_first_where_that_is_wished(opened: Opened) -> None:
    opened.add(torso())
    first = opened.screen()
    opened.click_row(0)
    opened.host.click(opened.ui.acceptButton)
    opened.host.click(opened.ui.scanButton)
    opened.host.click(opened.ui.keepEarlierBox)
    assert "CT rarity: stays beside the new one" in opened.ui.cardLabel.text
    # The bundled model sees the whole scan at once: it has one speed.
    assert not opened.ui.qualityBox.enabled
    second = opened.screen()
    assert second.map_node is not first.map_node
    assert second.map_node.GetName() == "CT rarity 2"
    assert "the whole scan" in opened.ui.mapLabel.text
    assert opened.table()[0][VERDICT] == "accepted"
    assert opened.ui.mapSelector.nodeCount() == 2
    opened.ui.thresholdSlider.value = 3.9
    opened.host.wait(lambda: len(opened.table()) == 1)

    opened.ui.mapSelector.setCurrentNode(first.map_node)
    assert opened.result.map_node is first.map_node
    assert "tiles" not in opened.ui.mapLabel.text
    assert opened.ui.thresholdSlider.value == 3.0
    assert len(opened.table()) == 2


def test_a_verdict_is_taken_back_by_a_second_click(opened: Opened) -> None:
    opened.add(torso())
    opened.screen()
    assert opened.ui.acceptButton.enabled
    opened.host.click(opened.ui.acceptButton)
    assert (opened.table()[0][VERDICT], opened.ui.acceptButton.checked) == ("accepted", True)
    opened.host.click(opened.ui.acceptButton)
    assert (opened.table()[0][VERDICT], opened.ui.acceptButton.checked) == ("", False)


def test_a_run_goes_on_while_another_module_is_open(opened: Opened) -> None:
    opened.add(torso())
    opened.start()
    opened.widget.exit()
    opened.wait_for_end()
    assert len(opened.table()) == 2
    opened.widget.enter()
    opened.ui.opacitySlider.value = 0.5
    assert opened.parameters.opacity == 0.5


def test_files_are_never_replaced(opened: Opened, tmp_path: Path) -> None:
    opened.add(torso(), "CT: chest/abdomen")
    opened.screen()
    opened.host.click(opened.ui.exportButton)
    opened.ui.folderEdit.currentPath = str(tmp_path)
    opened.host.click(opened.ui.tablesButton)
    opened.host.click(opened.ui.tablesButton)
    names = {file.name for file in tmp_path.iterdir()}
    stem = "CT_ chest_abdomen findings"
    assert names == {f"{stem}{n}.{end}" for n in ("", " 2") for end in ("csv", "json")}
