"""The whole story on real scans with the bundled model, which takes about a minute each.

It runs where `SCREENER_SCANS` names a folder of scans; `-m "not slow"` leaves it out.
"""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import slicer
import slicer.util
from pydicom.uid import ComprehensiveSRStorage, ParametricMapStorage, SegmentationStorage

from ctscreener.files import read_scan
from ScreenerSlicerLib.process.job_maker import ENGINE
from Testing.host.application import Application
from Testing.host.dicom_database import ctkDICOMDatabase
from Testing.module.opened import Opened
from Testing.slicer.dicom_series import read_by_dcmqi, run_dcmqi, write_series

SCAN = "lungdx_a0002.nii.gz"
CHEST, ABDOMEN = SCAN, "panc_cb_001_full.nii.gz"
BATCH = ("crlm_1004.nii.gz", SCAN)
LONGEST_SECONDS = 540.0
REVIEWS = ("acceptButton", "unsureButton", "rejectButton")


@pytest.mark.slow
def test_a_real_scan_from_load_to_save(
    slicer_application: Application, real_scans: Path, tmp_path: Path
) -> None:
    if not (real_scans / SCAN).is_file():
        pytest.skip(f"{SCAN} is not in {real_scans}")
    opened = Opened.in_host(slicer_application, ENGINE)
    host, ui = opened.host, opened.ui
    scan = slicer.util.loadVolume(str(real_scans / SCAN))
    ui.inputSelector.setCurrentNode(scan)
    assert "as in a CT" in ui.cardLabel.text
    assert ui.screenButton.enabled, ui.screenButton.toolTip
    ui.thresholdSlider.value = 2.5

    opened.start()
    told: list[tuple[int, str]] = []

    def ended() -> bool:
        told.append((ui.progressBar.value, ui.progressLabel.text))
        return ui.screenButton.text == "Screen volume"

    host.wait(ended, LONGEST_SECONDS)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert any("Scoring" in text and " of " in text for _, text in told)
    assert ui.messageLabel.text.startswith("Done in "), ui.messageLabel.text

    result = opened.result
    assert result.provenance["model"]["name"] == "preview"
    assert result.rarity.shape == result.scan.shape
    scored = np.isfinite(result.rarity.hu)
    assert 0.05 < scored.mean() < 1.0
    assert result.scan.hu[scored].mean() > result.scan.hu[~scored].mean()

    ui.thresholdSlider.value = 2.0
    host.wait(lambda: result.table.settings.threshold == 2.0)
    findings = len(opened.table())
    assert findings
    opened.click_row(0)
    host.click(ui.rejectButton)
    host.click(ui.exportButton)
    if findings > 1:
        host.click(ui.segmentsButton)
        assert result.segmentation_node is not None
    ui.folderEdit.currentPath = str(tmp_path)
    host.click(ui.tablesButton)
    (file,) = tmp_path.glob("*.json")
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert len(kept["findings"]) == findings
    assert kept["findings"][0]["verdict"] == "rejected"
    host.scene.save(tmp_path / "scene.mrb")
    assert (tmp_path / "scene.mrb").stat().st_size > 1e6


@pytest.mark.slow
@pytest.mark.parametrize("name", [CHEST, ABDOMEN])
def test_three_findings_are_reviewed_and_go_into_the_dicom_database(
    slicer_application: Application,
    real_scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    if not (real_scans / name).is_file():
        pytest.skip(f"{name} is not in {real_scans}")
    opened = Opened.in_host(slicer_application, ENGINE)
    database = loaded_as_dicom(opened, real_scans / name, tmp_path, monkeypatch)
    opened.start()
    opened.wait_for_end(LONGEST_SECONDS)
    assert opened.ui.messageLabel.text.startswith("Done in "), opened.ui.messageLabel.text
    review_three(opened)
    put_into_database(opened)
    read_back(opened, database, tmp_path)


@pytest.mark.slow
def test_a_batch_of_real_scans_with_a_bad_one_among_them(
    slicer_application: Application, real_scans: Path, tmp_path: Path
) -> None:
    opened = Opened.in_host(slicer_application, ENGINE)
    screen_batch(opened, real_scans, tmp_path)
    opened.ui.batchTable.cellDoubleClicked.emit(0, 0)
    opened.host.wait(lambda: opened.ui.batchLabel.text.startswith("Opened"), LONGEST_SECONDS)
    assert opened.result.scan.hu.max() > 500
    file = tmp_path / "out" / "Screener batch" / "crlm_1004" / "findings.json"
    kept = json.loads(file.read_text())
    assert len(opened.table()) == len(kept["findings"])


def review_three(opened: Opened) -> None:
    """Lower the threshold until there are three findings, and judge each otherwise."""
    for threshold in (2.5, 2.0, 1.5, 1.0):
        if len(opened.table()) >= len(REVIEWS):
            break
        opened.ui.thresholdSlider.value = threshold
        table = opened.result.table
        opened.host.wait(lambda table=table, t=threshold: table.settings.threshold == t)
    for row, review in enumerate(REVIEWS):
        opened.click_row(row)
        opened.host.click(getattr(opened.ui, review))
        opened.host.write(opened.ui.commentEdit, f"finding {row + 1}")


def put_into_database(opened: Opened) -> None:
    """Export all three objects by one click."""
    opened.host.click(opened.ui.exportButton)
    opened.host.click(opened.ui.databaseButton)
    opened.host.wait(lambda: not opened.widget.panel.is_exporting, LONGEST_SECONDS)
    assert opened.ui.exportLabel.text == "In the DICOM database: 3 objects"


def read_back(opened: Opened, database: ctkDICOMDatabase, folder: Path) -> None:
    """Let dcmqi and highdicom read what the database holds."""
    hd = pytest.importorskip("highdicom")
    count = len(opened.table()) - 1
    files = {
        pydicom.dcmread(file, stop_before_pixels=True).SOPClassUID: Path(file)
        for patient in database.patients()
        for study in database.studiesForPatient(patient)
        for series in database.seriesForStudy(study)
        for file in database.filesForSeries(series, 1)
    }
    read_by_dcmqi("segimage2itkimage", files[SegmentationStorage], folder / "segments")
    assert len(list((folder / "segments").glob("*.nrrd"))) == count
    read_by_dcmqi("paramap2itkimage", files[ParametricMapStorage], folder / "map")
    report = files[ComprehensiveSRStorage]
    run_dcmqi("tid1500reader", report, "--outputMetadata", folder / "report.json")
    groups = json.loads((folder / "report.json").read_text())["Measurements"]
    assert len(groups) == count
    told = json.dumps(groups)
    assert "Accepted" in told
    assert "Unsure" in told
    assert "Rejected" not in told
    read = hd.sr.srread(report).content.get_volumetric_roi_measurement_groups()
    assert len(read) == len(hd.seg.segread(files[SegmentationStorage]).segment_numbers) == count
    values = hd.imread(files[ParametricMapStorage]).get_volume().array
    ours = opened.result.rarity.hu
    assert np.isnan(values).sum() == np.isnan(ours).sum()
    np.testing.assert_allclose(np.nanmax(values), np.nanmax(ours), rtol=1e-6)


def screen_batch(opened: Opened, real_scans: Path, folder: Path) -> None:
    """Screen two scans and, between them, one that is damaged."""
    host, ui = opened.host, opened.ui
    (folder / "scans").mkdir()
    (folder / "out").mkdir()
    for name in BATCH:
        if not (real_scans / name).is_file():
            pytest.skip(f"{name} is not in {real_scans}")
        (folder / "scans" / name).write_bytes((real_scans / name).read_bytes())
    damaged = (real_scans / BATCH[1]).read_bytes()
    (folder / "scans" / "damaged.nii.gz").write_bytes(damaged[: len(damaged) // 2])
    host.click(ui.batchButton)
    ui.batchFolderEdit.currentPath = str(folder / "scans")
    host.click(ui.batchFolderAddButton)
    ui.batchOutEdit.currentPath = str(folder / "out")
    host.click(ui.batchRunButton)
    host.wait(lambda: ui.batchRunButton.text == "Screen all", 3 * LONGEST_SECONDS)
    table = ui.batchTable
    states = [table.item(row, 1).text() for row in range(3)]
    assert states == ["done", "failed", "done"], ui.batchLabel.text
    assert "Failed: 1, the first: damaged: Expected" in ui.batchLabel.text


def height_of(file: Path) -> float:
    """Where an axial slice lies, from foot to head."""
    return float(pydicom.dcmread(file, stop_before_pixels=True).ImagePositionPatient[2])


def loaded_as_dicom(
    opened: Opened, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> ctkDICOMDatabase:
    """Let a scan come from the DICOM database, and choose it."""
    scan = read_scan(path)
    (folder / "series").mkdir()
    database = ctkDICOMDatabase(folder / "database")
    written = write_series(folder / "series", scan.affine, values=scan.hu.astype(np.int16))
    # Slicer's DICOM module hands its reader sorted files, and the host's reader sorts by names.
    for number, file in enumerate(sorted(written, key=height_of)):
        database.insert(
            str(file.rename(folder / "series" / f"sorted {number:03}.dcm")), False, False
        )
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    (patient,) = database.patients()
    (study,) = database.studiesForPatient(patient)
    (series,) = database.seriesForStudy(study)
    uids = database.instancesForSeries(series)
    node = slicer.util.loadVolume(database.fileForInstance(uids[0]))
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    opened.ui.inputSelector.setCurrentNode(node)
    return database
