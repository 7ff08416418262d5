"""Several scans by a click: added, screened one after the other, cancelled."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util

from ctscreener.files import write_map
from ScreenerSlicerLib.process.job_maker import STUB
from Testing.engine.conftest import one_slice
from Testing.host.dicom_database import ctkDICOMDatabase
from Testing.module.opened import Opened, torso

LONGEST = 120.0
AFFINE = np.array([[0, 0, -2.0, 70], [0, -2.0, 0, 70], [2.0, 0, 0, -60], [0, 0, 0, 1]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scans, and between them one that is none."""
    made = tmp_path / "scans"
    made.mkdir()
    for name in ("a.nrrd", "c.nrrd"):
        write_map(made / name, torso().astype(np.float32), AFFINE)
    (made / "b.nrrd").write_text("no scan")
    return made


@pytest.fixture
def listed(opened: Opened, folder: Path, tmp_path: Path) -> Opened:
    """These three in the list, and a folder for results."""
    return _listed(opened, folder, tmp_path)


def _listed(opened: Opened, folder: Path, tmp_path: Path) -> Opened:
    opened.host.click(opened.ui.batchButton)
    opened.ui.batchFolderEdit.currentPath = str(folder)
    opened.host.click(opened.ui.batchFolderAddButton)
    (tmp_path / "out").mkdir()
    opened.ui.batchOutEdit.currentPath = str(tmp_path / "out")
    return opened


def rows(opened: Opened) -> list[list[str]]:
    """What stands in the list."""
    table = opened.ui.batchTable
    columns = range(table.columnCount)
    return [[table.item(row, one).text() for one in columns] for row in range(table.rowCount)]


def hang(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every scan from now on hang while it is scored."""
    monkeypatch.setenv("SCREENER_STUB", '{"pause": "scoring"}')
    # A logic keeps the variables of the moment in which it was made.
    opened.use(STUB)


def wait(opened: Opened) -> None:
    """Wait until the button says that nothing runs."""
    opened.host.wait(lambda: opened.ui.batchRunButton.text == "Screen all", LONGEST)


def test_three_scans_with_a_bad_one_among_them(listed: Opened, tmp_path: Path) -> None:
    assert [row[:2] for row in rows(listed)] == [
        ["a", "waiting"],
        ["b", "waiting"],
        ["c", "waiting"],
    ]
    # Slow enough to be seen.
    listed.use(STUB)
    listed.host.click(listed.ui.batchRunButton)
    assert listed.ui.batchRunButton.text == "Cancel"
    assert not listed.ui.batchClearButton.enabled
    assert not listed.ui.screenButton.enabled
    listed.host.wait(lambda: "Scan 3 of 3" in listed.ui.batchLabel.text, LONGEST)
    assert 60 < listed.ui.batchBar.value < 100
    wait(listed)
    assert [row[1] for row in rows(listed)] == ["done", "failed", "done"]
    assert rows(listed)[0][2:] == ["2", "5.0"]
    assert "Expected" in listed.ui.batchTable.item(1, 1).toolTip()
    told = listed.ui.batchLabel.text
    assert told.startswith("Done: 2 of 3. Failed: 1, the first: b: Expected")
    (made,) = (tmp_path / "out").iterdir()
    assert str(made) in told
    assert sorted(path.name for path in made.iterdir()) == ["a", "c", "summary.csv"]
    assert not listed.ui.batchRunButton.enabled
    listed.host.click(listed.ui.batchClearButton)
    assert rows(listed) == []
    assert made.is_dir()


def open_row(opened: Opened, row: int) -> None:
    """Double-click a scan of the batch, and wait for what comes of it."""
    before = opened.ui.batchLabel.text
    opened.ui.batchTable.cellDoubleClicked.emit(row, 0)
    if opened.ui.batchLabel.text != before:
        opened.host.wait(lambda: not opened.ui.batchLabel.text.startswith("Opening"), LONGEST)


@pytest.fixture
def screened(opened: Opened, folder: Path, tmp_path: Path) -> Opened:
    """One scan of a batch, screened."""
    for name in ("a.nrrd", "b.nrrd"):
        (folder / name).unlink()
    listed = _listed(opened, folder, tmp_path)
    listed.host.click(listed.ui.batchRunButton)
    wait(listed)
    return listed


def test_a_double_click_opens_a_result_with_its_scan(listed: Opened, tmp_path: Path) -> None:
    screened, ui = listed, listed.ui
    listed.host.click(ui.batchRunButton)
    wait(listed)
    assert "A double-click on a row opens its result." in ui.batchLabel.text
    assert "opens its result" in ui.batchTable.item(0, 0).toolTip()
    assert "opens" not in ui.batchTable.item(1, 0).toolTip()
    open_row(screened, 1)
    assert ui.inputSelector.nodeCount() == 0

    open_row(screened, 2)
    assert ui.batchLabel.text == "Opened: c"
    result = screened.result
    assert result.scan_node is ui.inputSelector.currentNode()
    assert ui.mapSelector.currentNode() is result.map_node
    # On the grid and with the values of the file, and its own list.
    assert (result.scan.hu == torso()).all()
    assert result.scan.hu.dtype == np.int16
    np.testing.assert_allclose(result.scan.affine, AFFINE, atol=1e-6)
    file = tmp_path / "out" / "Screener batch" / "c" / "findings.json"
    kept = json.loads(file.read_text())["findings"]
    assert [one.peak_index for one in result.findings] == [tuple(a["peak_index"]) for a in kept]
    assert len(screened.table()) == len(kept) == 2
    assert ui.findingsTable.currentRow() == 0

    # Another one stands beside it; the first is chosen again, not loaded again.
    open_row(screened, 0)
    assert ui.mapSelector.nodeCount() == 2
    open_row(screened, 2)
    assert ui.mapSelector.nodeCount() == 2
    assert screened.result.map_node is result.map_node
    slicer.mrmlScene.Clear(0)
    open_row(screened, 2)
    assert ui.inputSelector.currentNode().GetName() == "c"


def test_a_scan_without_findings_is_shown_whole_when_it_is_opened(
    seen: Opened, folder: Path, tmp_path: Path
) -> None:
    for name in ("a.nrrd", "b.nrrd"):
        (folder / name).unlink()
    seen.ui.minVolumeSpin.value = 50.0
    listed = _listed(seen, folder, tmp_path)
    listed.host.click(listed.ui.batchRunButton)
    wait(listed)
    # Somewhere else, where the reader left them.
    for view in listed.host.scene.views.slices.values():
        view.node.JumpSliceByCentering(500, 500, 500)
    open_row(listed, 0)
    assert listed.table() == []
    assert (listed.host.scene.views.red.pixels()[:, :128].max(axis=-1) > 0).mean() > 0.3


def test_a_result_is_opened_with_the_limit_that_it_was_listed_by(
    opened: Opened, folder: Path, tmp_path: Path
) -> None:
    for name in ("a.nrrd", "b.nrrd"):
        (folder / name).unlink()
    opened.ui.mostFindingsSpin.value = 1
    listed = _listed(opened, folder, tmp_path)
    listed.host.click(listed.ui.batchRunButton)
    wait(listed)
    assert rows(listed)[0][2:] == ["2", "5.0"], "all are counted"
    opened.ui.mostFindingsSpin.value = 5
    open_row(listed, 0)
    assert listed.ui.mostFindingsSpin.value == 1
    assert len(listed.table()) == 1
    assert "the 1 rarest of 2" in listed.ui.findingsLabel.text
    slicer.mrmlScene.Clear(0)
    # Results of before do not say.
    file = tmp_path / "out" / "Screener batch" / "c" / "findings.json"
    record = json.loads(file.read_text())
    del record["provenance"]["parameters"]["findings"]["most"]
    file.write_text(json.dumps(record))
    open_row(listed, 0)
    assert listed.ui.mostFindingsSpin.value == 50


def test_a_result_that_cannot_be_opened_is_told(
    screened: Opened, folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "out" / "Screener batch"
    write_map(folder / "c.nrrd", torso()[:40].astype(np.float32), AFFINE)
    open_row(screened, 0)
    assert "for a scan of (40, 72, 80)" in screened.ui.batchLabel.text
    (results / "c" / "findings.json").write_text("{}")
    open_row(screened, 0)
    assert "Expected a result in" in screened.ui.batchLabel.text
    assert screened.ui.inputSelector.nodeCount() == 0


def test_what_goes_while_it_is_opened_leaves_nothing(screened: Opened) -> None:
    table, label = screened.ui.batchTable, screened.ui.batchLabel
    table.cellDoubleClicked.emit(0, 0)
    screened.host.wait(lambda: screened.ui.inputSelector.nodeCount() == 1, LONGEST)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("c"))
    screened.host.wait(lambda: "was removed" in label.text, LONGEST)
    table.cellDoubleClicked.emit(0, 0)
    screened.host.wait(lambda: screened.ui.inputSelector.nodeCount() == 1, LONGEST)
    slicer.mrmlScene.Clear(0)
    assert label.text == "The scene was closed before the result was open."
    open_row(screened, 0)
    assert label.text == "Opened: c"
    assert screened.ui.mapSelector.nodeCount() == 1


def test_a_cancel_ends_it_and_the_button_goes_on(
    listed: Opened, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    hang(listed, monkeypatch)
    listed.host.click(listed.ui.batchRunButton)
    listed.host.wait(lambda: "Scoring" in listed.ui.batchLabel.text, LONGEST)
    listed.host.click(listed.ui.batchRunButton)
    wait(listed)
    assert [row[1] for row in rows(listed)] == ["cancelled", "waiting", "waiting"]
    assert list(temporary.glob("screener-*")) == []
    monkeypatch.delenv("SCREENER_STUB")
    listed.use(STUB)
    listed.host.click(listed.ui.batchRunButton)
    wait(listed)
    assert [row[1] for row in rows(listed)] == ["done", "failed", "done"]


def test_nothing_else_is_screened_meanwhile(
    listed: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(listed, monkeypatch)
    listed.add(torso())
    listed.start()
    assert "being screened" in listed.ui.batchRunButton.toolTip
    listed.host.click(listed.ui.screenButton)
    listed.wait_for_end()
    listed.host.click(listed.ui.batchRunButton)
    assert listed.ui.screenButton.toolTip == "A batch is on."
    listed.widget.panel.close()


def test_the_selected_series_of_the_browser_are_added(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = ctkDICOMDatabase(tmp_path / "database")
    for index, values in enumerate(torso()[:20].astype(np.float32)):
        slice_ = one_slice(values, index, "1.2.3")
        slice_.StudyInstanceUID, slice_.Modality = "1.2.3.4", "CT"
        slice_.SeriesDescription = "chest"
        file = tmp_path / f"{index:03}.dcm"
        slice_.save_as(file, enforce_file_format=True)
        database.insert(str(file))
    opened.host.click(opened.ui.batchButton)
    opened.host.click(opened.ui.batchBrowserButton)
    assert "No CT series is selected" in opened.ui.batchLabel.text
    tables = SimpleNamespace(currentSeriesSelection=lambda: ("1.2.3",))
    browser = SimpleNamespace(dicomBrowser=SimpleNamespace(dicomTableManager=lambda: tables))
    instance = SimpleNamespace(browserWidget=browser)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    monkeypatch.setattr(slicer.modules, "DICOMInstance", instance, raising=False)
    opened.host.click(opened.ui.batchBrowserButton)
    assert [row[0] for row in rows(opened)] == ["chest"]
    opened.ui.batchOutEdit.currentPath = str(tmp_path)
    opened.host.click(opened.ui.batchRunButton)
    wait(opened)
    assert [row[1] for row in rows(opened)] == ["done"]
    open_row(opened, 0)
    # It can be exported as DICOM from here.
    uids = opened.result.scan_node.GetAttribute("DICOM.instanceUIDs").split()
    assert sorted(uids) == sorted(database.instancesForSeries("1.2.3"))


def test_a_batch_ends_with_the_application(
    listed: Opened, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    hang(listed, monkeypatch)
    listed.host.click(listed.ui.batchRunButton)
    listed.host.wait(lambda: "Scoring" in listed.ui.batchLabel.text, LONGEST)
    listed.host.app.aboutToQuit.emit()
    listed.host.wait(lambda: not list(temporary.glob("screener-*")), 10)
