"""What goes wrong: it ends, says so, leaves nothing behind, and the module can be used again."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import slicer

from ScreenerSlicerLib.process import run
from ScreenerSlicerLib.process.job_maker import STUB
from Testing.module.opened import Opened, torso
from Testing.slicer.processes import alive, pids_in
from Testing.slicer.quick_worker import STAGES

QUICK = "Testing.slicer.quick_worker"
GONE_WITHIN = 2.0
LATE = 1.5
"""How much later it may be on a machine that does something else as well."""


def hang(opened: Opened, monkeypatch: pytest.MonkeyPatch, folder: Path, stage: str) -> list[int]:
    """Start a run that hangs in a stage; returns its processes."""
    monkeypatch.setenv("QUICK_HANG", stage)
    monkeypatch.setenv("QUICK_PIDS", str(folder / "pids"))
    opened.use(QUICK)
    opened.start()
    words = {"reading": "Reading", "preparing": "Preparing", "scoring": "Scoring"}
    words |= {"restoring": "Laying", "findings": "Listing", "writing": "Writing"}
    opened.host.wait(lambda: opened.ui.progressLabel.text.startswith(words[stage]), 60)
    return pids_in(folder / "pids")


def files_of_runs(folder: Path) -> list[Path]:
    return list(folder.glob("screener-*"))


def nothing_is_left(pids: list[int], folder: Path) -> bool:
    return not any(map(alive, pids)) and not files_of_runs(folder)


def volumes() -> int:
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")


@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_ends_every_process_and_removes_every_file(
    opened: Opened,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stage: str,
) -> None:
    opened.add(torso())
    pids = hang(opened, monkeypatch, tmp_path, stage)
    assert all(map(alive, pids))
    assert files_of_runs(temporary)

    began = time.monotonic()
    opened.start()
    assert opened.ui.screenButton.text == "Cancelling ..."
    assert not opened.ui.screenButton.enabled
    opened.wait_for_end()
    assert time.monotonic() - began < GONE_WITHIN + LATE
    assert nothing_is_left(pids, temporary)
    assert "Nothing of this run was kept" in opened.ui.messageLabel.text
    assert opened.ui.screenButton.enabled
    assert volumes() == 1


def test_cancelling_at_once_is_cancelling_too(opened: Opened, temporary: Path) -> None:
    opened.add(torso())
    opened.start()
    opened.start()
    opened.wait_for_end()
    assert not files_of_runs(temporary)
    opened.screen()
    assert len(opened.table()) == 2


def test_a_killed_process_is_explained_and_nothing_is_left(
    opened: Opened, temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened.add(torso())
    pids = hang(opened, monkeypatch, tmp_path, "scoring")
    os.kill(pids[0], signal.SIGKILL)
    opened.wait_for_end()
    assert "most often because memory ran out" in opened.ui.messageLabel.text
    assert nothing_is_left(pids, temporary)
    assert opened.ui.screenButton.enabled


def test_a_crash_is_explained(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENER_STUB", json.dumps({"die": "scoring"}))
    opened.use(STUB)
    opened.add(torso())
    opened.start()
    opened.wait_for_end()
    assert "copy the report" in opened.ui.messageLabel.text
    opened.host.click(opened.ui.installationButton)
    opened.host.click(opened.ui.checkButton)
    assert "Error process.ended" in opened.ui.reportText.plainText
    assert '"stage": "scoring"' in opened.ui.reportText.plainText


def test_an_error_of_the_engine_says_what_to_do(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ["device.memory", "The device has too little memory.", "Use --device cpu."]
    monkeypatch.setenv("SCREENER_STUB", json.dumps({"fail": "scoring", "error": error}))
    opened.use(STUB)
    opened.add(torso())
    opened.start()
    opened.wait_for_end()
    assert opened.ui.messageLabel.text == (
        "The device has too little memory. Close other programs and volumes, screen a region "
        "alone, or choose the CPU."
    )
    assert volumes() == 1


def test_less_memory_is_announced_and_stays_so(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = "The GPU's memory is full: going on with smaller tiles."
    monkeypatch.setenv("SCREENER_STUB", json.dumps({"notice": notice}))
    opened.use(STUB)
    opened.add(torso())
    opened.start()
    opened.host.wait(lambda: opened.ui.runNoticeLabel.visible, 60)
    assert opened.ui.runNoticeLabel.text == notice
    opened.wait_for_end()
    assert opened.ui.runNoticeLabel.visible
    monkeypatch.delenv("SCREENER_STUB")
    opened.use(STUB)
    opened.start()
    assert not opened.ui.runNoticeLabel.visible
    opened.wait_for_end()


def test_a_scan_that_is_deleted_takes_its_result_along(
    opened: Opened, temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scan = opened.add(torso())
    pids = hang(opened, monkeypatch, tmp_path, "scoring")
    slicer.mrmlScene.RemoveNode(scan)
    opened.wait_for_end()
    assert "The result was dropped: The volume CT is no longer" in opened.ui.messageLabel.text
    assert nothing_is_left(pids, temporary)
    assert volumes() == 0
    assert not opened.ui.screenButton.enabled


def test_a_scan_that_is_changed_drops_its_result(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scan = opened.add(torso())
    hang(opened, monkeypatch, tmp_path, "scoring")
    slicer.util.updateVolumeFromArray(scan, torso()[::-1].copy())
    opened.wait_for_end()
    assert "The voxels of the volume CT were changed" in opened.ui.messageLabel.text
    assert volumes() == 1


@pytest.mark.parametrize("end", ["close the scene", "reload", "quit"])
def test_a_run_does_not_outlive_what_it_belongs_to(
    opened: Opened, temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str
) -> None:
    opened.add(torso())
    pids = hang(opened, monkeypatch, tmp_path, "scoring")
    began = time.monotonic()
    if end == "close the scene":
        slicer.mrmlScene.Clear(0)
        assert "The scene was closed" in opened.ui.messageLabel.text
    elif end == "reload":
        opened.host.run(slicer.util.reloadScriptedModule, "ScreenerSlicer")
    else:
        opened.host.app.aboutToQuit.emit()
    while not nothing_is_left(pids, temporary):
        assert time.monotonic() - began < GONE_WITHIN + LATE
        time.sleep(0.01)
    assert volumes() == (0 if end == "close the scene" else 1)


def test_after_the_scene_was_closed_another_scan_can_be_screened(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened.add(torso())
    opened.screen()
    slicer.mrmlScene.Clear(0)
    assert opened.table() == []
    opened.add(torso(), "Another")
    opened.screen()
    assert opened.result.map_node.GetName() == "Another rarity"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.random.default_rng(1).gamma(2, 200, (32, 64, 64)).astype(np.int16), "Hounsfield"),
        (np.tile(np.arange(256, dtype=np.uint8), (32, 64, 1)), "Hounsfield"),
        (torso()[:8], "at least 16"),
        (np.zeros((32, 64, 64), np.int16), "in every voxel"),
    ],
    ids=["MR", "picture", "few slices", "constant"],
)
def test_what_is_no_ct_is_refused(opened: Opened, values: np.ndarray, reason: str) -> None:
    opened.add(values, "MR")
    assert not opened.ui.screenButton.enabled
    assert reason in opened.ui.screenButton.toolTip
    assert reason in opened.ui.refusalLabel.text
    assert opened.ui.refusalLabel.visible


def test_a_rarity_map_is_no_scan(opened: Opened) -> None:
    opened.add(torso())
    result = opened.screen()
    opened.ui.inputSelector.setCurrentNode(result.map_node)
    assert not opened.ui.screenButton.enabled


def test_a_full_disk_is_told(
    opened: Opened, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = run.shutil._ntuple_diskusage(10**9, 10**9, 1000)
    monkeypatch.setattr(run.shutil, "disk_usage", lambda _: usage)
    opened.add(torso())
    opened.start()
    opened.wait_for_end()
    assert "MB free" in opened.ui.messageLabel.text
    assert "Free some space" in opened.ui.messageLabel.text
    assert not files_of_runs(temporary)


def test_segments_of_a_scan_that_was_removed_are_refused(opened: Opened) -> None:
    scan = opened.add(torso())
    opened.screen()
    opened.host.click(opened.ui.exportButton)
    slicer.mrmlScene.RemoveNode(scan)
    opened.host.click(opened.ui.segmentsButton)
    assert "found it removed" in opened.ui.exportLabel.text
    opened.ui.thresholdSlider.value = 4.5
    opened.host.wait(lambda: "found it removed" in opened.ui.messageLabel.text)


def test_a_map_that_is_deleted_empties_the_list(opened: Opened) -> None:
    opened.add(torso())
    result = opened.screen()
    slicer.mrmlScene.RemoveNode(result.map_node)
    assert opened.table() == []
    assert not opened.ui.tablesButton.enabled
    assert opened.ui.screenButton.enabled
