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
from ScreenerSlicerLib.export.dicom import rarity_map, save, segmentation
from ScreenerSlicerLib.export.dicom_job import WEIGHTS, DicomWork, Kind, Written, dicom_job
from ScreenerSlicerLib.export.dicom_source import read_source
from ScreenerSlicerLib.export.report import report
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.scene.place import Place
from ScreenerSlicerLib.scene.regions import regions_of
from ScreenerSlicerLib.scene.row import Row
from Testing.slicer.dicom_series import GRIDS, SHAPE, write_series
from Testing.slicer.processes import soon
from Testing.slicer.test_dicom import PROVENANCE, SETTINGS, rarity

pytest.importorskip("highdicom")

__all__ = ["rarity", "rows_of"]
ROOT = Path(__file__).parents[2]
KINDS: tuple[Kind, ...] = ("map", "segments", "report")
AFFINE = GRIDS["tilted"]
CHANGING = frozenset(
    {
        *("SeriesInstanceUID", "SOPInstanceUID", "ContentDate", "ContentTime", "TrackingUID"),
        *("InstanceCreationDate", "InstanceCreationTime"),
        *("MediaStorageSOPInstanceUID", "ContributionDateTime", "DimensionOrganizationUID"),
    }
)
REFERRING = CHANGING | {"ReferencedSOPInstanceUID", "UID"}
"""A report refers to segments, whose identifiers are new each time."""


def finish(job: BackgroundJob[list[Written]]) -> list[str]:
    """Run a job to its end; returns the stages that it told."""
    stages: list[str] = []

    def ended() -> bool:
        progress = job.poll()
        stages.extend([progress.stage] if progress else [])
        return job.state in ("done", "failed", "cancelled")

    job.start()
    assert soon(ended, 120)
    return stages


def new_job(work: DicomWork, folder: Path) -> BackgroundJob[list[Written]]:
    folder.mkdir()
    return dicom_job(work, [sys.executable], folder, os.environ)


def plain(data: pydicom.Dataset, changing: frozenset[str] = CHANGING) -> object:
    """All that two objects made of the same should share."""
    return [
        [plain(item, changing) for item in one.value]
        if one.VR == "SQ"
        else (one.keyword, repr(one.value))
        for one in data
        if one.keyword not in changing
    ]


def rows_of(values: np.ndarray, affine: np.ndarray) -> list[Row]:
    """The findings of a map, the first of them reviewed."""
    found = find(values, Scan(values, affine), SETTINGS)
    rows = [Row(one, Place("left", "upper"), "", "") for one in found]
    return [Row(found[0], rows[0].place, "accepted", "a comment"), *rows[1:]]


def test_the_objects_are_those_that_are_made_here(rarity: np.ndarray, tmp_path: Path) -> None:
    source = write_series(tmp_path, AFFINE)
    rows = rows_of(rarity, AFFINE)
    headers = read_source(source, SHAPE, AFFINE)
    regions = regions_of([row.finding for row in rows], rarity, SETTINGS.threshold)
    segments = segmentation(headers, regions, SHAPE, AFFINE, PROVENANCE)
    here = {
        "map": rarity_map(headers, rarity, AFFINE, PROVENANCE),
        "segments": segments,
        "report": report(headers, segments, rows, SETTINGS, PROVENANCE, 19),
    }
    files: dict[Kind, Path] = {kind: tmp_path / f"{kind}.there" for kind in KINDS}
    work = DicomWork(files, source, Scan(rarity, AFFINE), PROVENANCE, rows, SETTINGS, 19)
    job = new_job(work, tmp_path / "temporary")
    stages = finish(job)
    assert job.state == "done", job.error
    assert set(stages) <= set(WEIGHTS)
    assert stages == sorted(stages, key=list(WEIGHTS).index)
    for one, kind in zip(job.output(), KINDS, strict=True):
        assert one.path == files[kind]
        made = pydicom.dcmread(one.path)
        assert made.SOPInstanceUID == one.uid
        save(tmp_path / "here.dcm", here[kind])
        changing = REFERRING if kind == "report" else CHANGING
        assert plain(made, changing) == plain(pydicom.dcmread(tmp_path / "here.dcm"), changing)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_where_one_object_cannot_be_placed_none_is_left(
    rarity: np.ndarray, tmp_path: Path
) -> None:
    source = write_series(tmp_path, AFFINE)
    files: dict[Kind, Path] = {
        "map": tmp_path / "map.there",
        "segments": tmp_path / "gone" / "segments.there",
    }
    rows = rows_of(rarity, AFFINE)
    work = DicomWork(files, source, Scan(rarity, AFFINE), PROVENANCE, rows, SETTINGS)
    job = new_job(work, tmp_path / "t")
    finish(job)
    assert job.error is not None
    assert job.error.code == "output.unwritable"
    assert list(tmp_path.glob("*.there")) == []


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
    job = new_job(
        DicomWork({"map": path}, source, Scan(rarity, AFFINE), PROVENANCE), tmp_path / "t"
    )
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
    work = DicomWork({"map": tmp_path / "map.dcm"}, source, Scan(rarity, AFFINE), PROVENANCE)
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
    checks: list[int] = []
    rows = rows_of(rarity, AFFINE)
    work = DicomWork({"segments": tmp_path / "s.dcm"}, [], scan, PROVENANCE, rows, SETTINGS)
    work.write(tmp_path, lambda: checks.append(1))
    assert len(checks) <= 1 + scan.hu.nbytes / dicom_job_module.PIECE_BYTES
    np.testing.assert_array_equal(np.load(tmp_path / "values.npy"), scan.hu)
