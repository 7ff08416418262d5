"""An export to DICOM by a child process: the same object, whole or not there."""

import os
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctscreener.findings import find
from ctscreener.scan import Scan
from ScreenerSlicerLib.export import dicom_job as dicom_job_module
from ScreenerSlicerLib.export.dicom import write_rarity_map, write_regions
from ScreenerSlicerLib.export.dicom_job import WEIGHTS, DicomWork, dicom_job
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.scene.regions import regions_of
from Testing.slicer.processes import soon
from Testing.slicer.test_dicom import GRIDS, PROVENANCE, SETTINGS, SHAPE, rarity, write_series

pytest.importorskip("highdicom")

__all__ = ["rarity"]
ROOT = Path(__file__).parents[2]
AFFINE = GRIDS["tilted"]
CHANGING = {"SeriesInstanceUID", "SOPInstanceUID", "ContentDate", "ContentTime", "TrackingUID"}
CHANGING |= {"InstanceCreationDate", "InstanceCreationTime"}
CHANGING |= {"MediaStorageSOPInstanceUID", "ContributionDateTime", "DimensionOrganizationUID"}


def finish(job: BackgroundJob[Path]) -> list[str]:
    """Run a job to its end; returns the stages that it told."""
    stages: list[str] = []

    def ended() -> bool:
        progress = job.poll()
        stages.extend([progress.stage] if progress else [])
        return job.state in ("done", "failed", "cancelled")

    job.start()
    assert soon(ended, 120)
    return stages


def new_job(work: DicomWork, folder: Path) -> BackgroundJob[Path]:
    folder.mkdir()
    return dicom_job(work, [sys.executable], folder, os.environ)


def plain(data: pydicom.Dataset) -> object:
    """All that two objects made of the same should share."""
    return [
        [plain(item) for item in one.value] if one.VR == "SQ" else (one.keyword, repr(one.value))
        for one in data
        if one.keyword not in CHANGING
    ]


@pytest.mark.parametrize("segments", [False, True])
def test_the_object_is_the_one_that_is_made_here(
    rarity: np.ndarray, tmp_path: Path, segments: bool
) -> None:
    source = write_series(tmp_path, AFFINE)
    scan = Scan(rarity, AFFINE)
    found = find(rarity, scan, SETTINGS) if segments else None
    here, there = tmp_path / "here.dcm", tmp_path / "there.dcm"
    if found is None:
        write_rarity_map(here, source, rarity, AFFINE, PROVENANCE)
    else:
        regions = regions_of(found, rarity, SETTINGS.threshold)
        write_regions(here, source, regions, SHAPE, AFFINE, PROVENANCE)
    work = DicomWork(there, source, scan, PROVENANCE, found, SETTINGS.threshold)
    job = new_job(work, tmp_path / "temporary")
    stages = finish(job)
    assert job.state == "done", job.error
    assert job.output() == there
    assert set(stages) <= set(WEIGHTS)
    assert stages == sorted(stages, key=list(WEIGHTS).index)
    assert plain(pydicom.dcmread(there)) == plain(pydicom.dcmread(here))
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("code", ["dicom.source", "dicom.headers", "output.unwritable"])
def test_what_cannot_be_made_is_told_on_one_line_and_leaves_nothing(
    rarity: np.ndarray, tmp_path: Path, code: str
) -> None:
    source = write_series(tmp_path, AFFINE)
    path = tmp_path / "kept" / "map.dcm"
    if code != "output.unwritable":
        path.parent.mkdir()
    if code == "dicom.source":
        source[3].unlink()
    if code == "dicom.headers":
        for file in source:
            header = pydicom.dcmread(file)
            del header.FrameOfReferenceUID
            header.save_as(file)
    job = new_job(DicomWork(path, source, Scan(rarity, AFFINE), PROVENANCE), tmp_path / "t")
    finish(job)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.code == code
    assert "\n" not in str(job.error)
    assert not path.exists()
    assert [*(tmp_path / "t").iterdir(), *tmp_path.glob("kept/*")] == []


def test_a_python_without_highdicom_says_what_is_missing(
    rarity: np.ndarray, tmp_path: Path
) -> None:
    source = write_series(tmp_path, AFFINE)
    work = DicomWork(tmp_path / "map.dcm", source, Scan(rarity, AFFINE), PROVENANCE)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "highdicom.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'highdicom'\")"
    )
    environment = {**os.environ, "PYTHONPATH": str(hidden)}
    (tmp_path / "t").mkdir()
    job = dicom_job(work, [sys.executable], tmp_path / "t", environment)
    finish(job)
    assert job.error is not None
    assert job.error.code == "install.packages"
    assert not (tmp_path / "map.dcm").exists()


def test_threads_of_slicer_have_little_to_do(rarity: np.ndarray, tmp_path: Path) -> None:
    """Slicer's event loop keeps Python's lock: voxels are found by the child, not by a thread."""
    scan = Scan(np.repeat(rarity, 40, axis=0), AFFINE)
    found = find(rarity, Scan(rarity, AFFINE), SETTINGS)
    checks: list[int] = []
    work = DicomWork(tmp_path / "s.dcm", [], scan, PROVENANCE, found, SETTINGS.threshold)
    work.write(tmp_path, lambda: checks.append(1))
    assert len(checks) <= 1 + scan.hu.nbytes / dicom_job_module.PIECE_BYTES
    np.testing.assert_array_equal(np.load(tmp_path / "values.npy"), scan.hu)
