"""A batch: every scan gets its turn, whatever became of the one before."""

import csv
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import final

import numpy as np
import pytest
import slicer

from ctscreener.errors import InputError
from ctscreener.files import write_map
from ScreenerSlicerLib.batch.batch_job import Engine
from ScreenerSlicerLib.batch.dicom_browser import selected_series, series_sources
from ScreenerSlicerLib.batch.frame_source import frame_sources
from ScreenerSlicerLib.batch.queue import Queue
from ScreenerSlicerLib.batch.sources import FileSource, SeriesSource, sources_in
from ScreenerSlicerLib.process.job_maker import STUB
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.scene.frames import MAPS, frames_of
from ScreenerSlicerLib.scene.slicer_logics import Logics
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps
from Testing.slicer.dicom_series import GRIDS, write_series
from Testing.slicer.processes import soon

LONGEST = 120.0


def block() -> np.ndarray:
    values = np.full((24, 30, 28), -1000, np.float32)
    values[3:-4, 4:-5, 4:-5] = 40
    return values


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "temporary").mkdir()
    return Engine((sys.executable,), STUB, os.environ, tmp_path / "temporary")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scans, and between them one that is none."""
    made = tmp_path / "scans"
    made.mkdir()
    for name in ("a.nrrd", "c.nii.gz"):
        write_map(made / name, block(), lumps.LYING)
    (made / "b.nrrd").write_text("no scan")
    return made


def finish(queue: Queue) -> None:
    """Poll, as a timer does, until no scan is on."""

    def ended() -> bool:
        queue.poll()
        return not queue.busy

    assert soon(ended, LONGEST)


def test_one_bad_scan_of_three_is_told_and_passed_over(
    folder: Path, tmp_path: Path, engine: Engine
) -> None:
    queue = Queue()
    assert queue.add(sources_in(folder)) == 3
    assert queue.add(sources_in(folder)) == 0
    queue.start(ScreenRequest(min_volume_ml=0.0), tmp_path, engine)
    finish(queue)
    assert [entry.state for entry in queue.entries] == ["done", "failed", "done"]
    bad = queue.entries[1]
    assert "Expected" in bad.error
    assert "\n" not in bad.error
    assert queue.folder is not None
    assert sorted(path.name for path in queue.folder.iterdir()) == ["a", "c", "summary.csv"]
    for entry in (queue.entries[0], queue.entries[2]):
        assert entry.screened is not None
        assert entry.screened.findings > 0
        assert (entry.screened.folder / "anomaly.nrrd").is_file()
    rows = list(csv.DictReader((queue.folder / "summary.csv").open()))
    assert [(row["scan"], row["status"]) for row in rows] == [
        *(("a", "done"), ("b", "failed"), ("c", "done")),
    ]
    assert list((tmp_path / "temporary").glob("screener-*")) == []


def test_a_cancel_ends_the_batch_and_a_start_goes_on(
    folder: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCREENER_STUB", '{"pause": "scoring"}')
    queue = Queue()
    queue.add(sources_in(folder))
    queue.start(ScreenRequest(), tmp_path, Engine(engine.python, STUB, None, engine.folder))
    assert soon(lambda: queue.poll() or queue.progress is not None, LONGEST)
    queue.cancel()
    finish(queue)
    assert [entry.state for entry in queue.entries] == ["cancelled", "waiting", "waiting"]
    assert queue.waiting == 3
    monkeypatch.delenv("SCREENER_STUB")
    before = queue.folder
    queue.start(ScreenRequest(), tmp_path, engine)
    finish(queue)
    assert queue.folder == before
    assert [entry.state for entry in queue.entries] == ["done", "failed", "done"]


def test_another_batch_replaces_nothing(folder: Path, tmp_path: Path, engine: Engine) -> None:
    written = []
    for _ in range(2):
        queue = Queue()
        queue.add([FileSource("a", folder / "a.nrrd"), FileSource("a", folder / "c.nii.gz")])
        queue.start(ScreenRequest(), tmp_path, engine)
        finish(queue)
        written += [entry.screened.folder for entry in queue.entries if entry.screened]
    assert len(set(written)) == 4


def test_a_folder_of_slices_is_one_scan_and_results_are_none(tmp_path: Path) -> None:
    write_series(tmp_path, GRIDS["tilted"])
    (tmp_path / "notes.txt").write_text("short")
    assert [one.path for one in sources_in(tmp_path)] == [tmp_path]
    above = tmp_path / "above"
    for name in ("series", "result", "empty"):
        (above / name).mkdir(parents=True)
    write_series(above / "series", GRIDS["tilted"])
    (above / "result" / "findings.json").write_text("{}")
    (above / ".hidden").mkdir()
    (above / "x.CT.nii.gz").write_text("")
    assert [one.name for one in sources_in(above)] == ["x.CT", "series"]
    with pytest.raises(InputError, match="Expected a readable folder"):
        sources_in(tmp_path / "gone")


def test_a_series_is_handed_over_alone_from_wherever_its_files_lie(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    files = write_series(tmp_path / "one", GRIDS["tilted"])
    moved = [file.rename(tmp_path / "two" / file.name) for file in files[::2]]
    source = SeriesSource("series", (*files[1::2], *moved))
    (tmp_path / "run").mkdir()
    handed = source.hand_over()
    handed.write(tmp_path / "run", lambda: None)
    laid = sorted((tmp_path / "run" / handed.argument).iterdir())
    expected = sorted(file.read_bytes() for file in source.files)
    assert sorted(file.read_bytes() for file in laid) == expected
    moved[0].unlink()
    with pytest.raises(InputError, match="Expected the files of the series"):
        source.hand_over()


def browser(visual: bool) -> SimpleNamespace:
    """Slicer's DICOM browser, as far as it is asked: its tables, or its pictures."""
    pictures = SimpleNamespace(selectedSeriesInstanceUIDs=lambda: ("1.2", "1.3"))
    tables = SimpleNamespace(currentSeriesSelection=lambda: ("1.4",))
    return SimpleNamespace(
        dicomVisualBrowser=SimpleNamespace(visible=visual, patientView=lambda: pictures),
        dicomBrowser=SimpleNamespace(dicomTableManager=lambda: tables),
    )


@final
@dataclass
class Database:
    """CTK's database, as far as it is asked.

    Arguments:
        modalities: Of each series.
        isOpen: Whether it is open.
    """

    modalities: dict[str, str]
    isOpen: bool = True

    def filesForSeries(self, series: str) -> list[str]:
        """One file each."""
        return [f"/{series}/1.dcm"]

    def instancesForSeries(self, series: str) -> list[str]:
        """Its UID."""
        return [f"{series}.1"]

    def fieldForSeries(self, field: str, series: str) -> str:
        """A column of a series."""
        named = {"SeriesDescription": "chest", "SeriesNumber": "3"}
        return self.modalities[series] if field == "Modality" else named[field]


def test_the_selected_series_are_taken_where_they_are_cts() -> None:
    assert selected_series(None) == []
    assert selected_series(browser(visual=False)) == ["1.4"]
    selected = selected_series(browser(visual=True))
    database = Database({"1.2": "CT", "1.3": "MR"})
    (only,) = series_sources(database, selected)
    assert only == SeriesSource("3 chest", (Path("/1.2/1.dcm"),), ("1.2.1",))
    database.isOpen = False
    assert series_sources(database, selected) == []


@pytest.fixture
def proxy(slicer_scene: SlicerScene, logics: Logics) -> slicer.vtkMRMLScalarVolumeNode:
    """A CT of two frames in a browser; the volume that shows one of them."""
    scene = slicer_scene.scene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Lungs")
    for phase in range(2):
        node = lumps.add_scan(scene, lumps.GEOMETRIES["tilted"], block_like_lumps(phase))
        sequence.SetDataNodeAtValue(node, str(10 * phase))
        scene.RemoveNode(node)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    assert logics.sequences is not None
    logics.sequences.UpdateProxyNodesFromSequences(browser)
    return browser.GetProxyNode(sequence)


def block_like_lumps(phase: int) -> np.ndarray:
    """The block moves by a slice."""
    return np.roll(lumps.hu(), phase, axis=0)


def test_the_frames_of_a_sequence_are_screened_and_their_maps_follow_them(
    proxy: slicer.vtkMRMLScalarVolumeNode, logics: Logics, tmp_path: Path, engine: Engine
) -> None:
    frames = frames_of(logics, proxy)
    assert frames is not None
    queue = Queue()
    queue.add(frame_sources(frames))
    assert [entry.source.name for entry in queue.entries] == ["Lungs, frame 0", "Lungs, frame 10"]
    queue.start(ScreenRequest(), tmp_path, engine)
    finish(queue)
    assert [entry.state for entry in queue.entries] == ["done", "done"]
    maps = frames.sequence.GetNodeReference(MAPS)
    assert maps.GetNumberOfDataNodes() == 2
    shown = frames.browser.GetProxyNode(maps)
    display = shown.GetDisplayNode()
    assert (display.GetWindowLevelMax(), display.GetLowerThreshold()) == (6.0, 3.0)
    seen = []
    for number in range(2):
        # As a double-click on its row does.
        assert queue.entries[number].source.show()
        assert frames.browser.GetSelectedItemNumber() == number
        values = slicer.util.arrayFromVolume(shown)
        scan = slicer.util.arrayFromVolume(proxy)
        np.testing.assert_array_equal(np.isfinite(values), scan > -500)
        seen.append(values.copy())
    assert not np.array_equal(*seen, equal_nan=True)


def test_a_frame_that_is_gone_is_told(
    proxy: slicer.vtkMRMLScalarVolumeNode, logics: Logics, slicer_scene: SlicerScene
) -> None:
    frames = frames_of(logics, proxy)
    assert frames is not None
    source = frame_sources(frames)[1]
    slicer_scene.scene.RemoveNode(frames.sequence)
    with pytest.raises(InputError, match="found it removed"):
        source.hand_over()
    frames.put_map(1, block())
    assert not source.show()


def test_a_frame_that_changed_meanwhile_gets_no_map_and_the_batch_goes_on(
    proxy: slicer.vtkMRMLScalarVolumeNode, logics: Logics, tmp_path: Path, engine: Engine
) -> None:
    frames = frames_of(logics, proxy)
    assert frames is not None
    queue = Queue()
    queue.add(frame_sources(frames))
    queue.start(ScreenRequest(), tmp_path, engine)
    node = frames.sequence.GetNthDataNode(0)
    slicer.util.updateVolumeFromArray(node, block())
    finish(queue)
    assert [entry.state for entry in queue.entries] == ["done", "done"]
    assert "found it changed" in queue.entries[0].error
    assert frames.sequence.GetNodeReference(MAPS).GetNumberOfDataNodes() == 1


def test_a_still_volume_has_no_frames(
    scan_node: slicer.vtkMRMLScalarVolumeNode, logics: Logics
) -> None:
    assert frames_of(logics, scan_node) is None
    assert frames_of(logics, None) is None
