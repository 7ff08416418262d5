"""The report of findings: what dcmqi and highdicom read in it, and what it refers to."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.export.dicom import save, segmentation
from ScreenerSlicerLib.export.dicom_source import read_source
from ScreenerSlicerLib.export.report import report
from ScreenerSlicerLib.scene.regions import regions_of
from ScreenerSlicerLib.scene.row import Row
from Testing.slicer.dicom_series import GRIDS, SHAPE, run_dcmqi, write_series
from Testing.slicer.test_dicom import MODEL, PROVENANCE, SETTINGS, rarity
from Testing.slicer.test_dicom_job import rows_of

pytest.importorskip("dcmqi")
hd = pytest.importorskip("highdicom")

__all__ = ["rarity"]
AFFINE = GRIDS["tilted"]


def written(
    folder: Path, rarity: np.ndarray, rows: list[Row], found: int = 0
) -> tuple[Path, pydicom.Dataset]:
    """Write a report; returns it and the segments that it refers to."""
    headers = read_source(write_series(folder, AFFINE), SHAPE, AFFINE)
    regions = regions_of([row.finding for row in rows], rarity, SETTINGS.threshold)
    segments = segmentation(headers, regions, SHAPE, AFFINE, PROVENANCE)
    path = folder / "report.dcm"
    save(path, report(headers, segments, rows, SETTINGS, PROVENANCE, found))
    return path, segments


def test_dcmqi_reads_every_finding(rarity: np.ndarray, tmp_path: Path) -> None:
    rows = rows_of(rarity, AFFINE)
    path, segments = written(tmp_path, rarity, rows)
    said = run_dcmqi("tid1500reader", path, "--outputMetadata", tmp_path / "read.json")
    assert "not found" not in said
    read = json.loads((tmp_path / "read.json").read_text())
    assert read["observerContext"]["DeviceObserverName"] == "Screener"
    assert len(read["Measurements"]) == len(rows) == 2
    for number, (group, row) in enumerate(zip(read["Measurements"], rows, strict=True), start=1):
        assert group["segmentationSOPInstanceUID"] == segments.SOPInstanceUID
        assert group["ReferencedSegment"] == number
        assert (
            group["TrackingUniqueIdentifier"] == segments.SegmentSequence[number - 1].TrackingUID
        )
        assert group["Finding"]["CodeMeaning"] == "Anomalous region"
        assert group["Laterality"]["CodeMeaning"] == "Left"
        algorithm = group["measurementAlgorithmIdentification"]
        assert algorithm["AlgorithmName"] == "Screener"
        assert NOTICE in algorithm["AlgorithmParameters"][0]
        values = [float(one["value"]) for one in group["measurementItems"]]
        found = row.finding
        peak, mean = (
            min(x, MODEL["rarity_counted_up_to"]) for x in (found.peak_rarity, found.mean_rarity)
        )
        expected = [peak, mean, found.volume_ml, found.diameter_mm, found.mean_hu]
        np.testing.assert_allclose(values, expected, atol=0.006)
    first, second = (
        {one["conceptCode"]["CodeMeaning"]: one["conceptValue"] for one in evaluated}
        for evaluated in (group["qualitativeEvaluations"] for group in read["Measurements"])
    )
    assert first["Reader's verdict"]["CodeMeaning"] == "Accepted"
    assert first["Comment"] == "a comment"
    assert set(second) == {"Finding category"}


def test_highdicom_reads_it_and_finds_the_segments(rarity: np.ndarray, tmp_path: Path) -> None:
    rows = rows_of(rarity, AFFINE)
    path, segments = written(tmp_path, rarity, rows)
    read = hd.sr.srread(path)
    assert isinstance(read, hd.sr.ComprehensiveSR)
    groups = read.content.get_volumetric_roi_measurement_groups(
        referenced_sop_class_uid=segments.SOPClassUID
    )
    assert [one.tracking_identifier for one in groups] == [
        one.SegmentLabel for one in segments.SegmentSequence
    ]
    (volume,) = groups[1].get_measurements(name=codes.SCT.Volume)
    assert volume.value == pytest.approx(rows[1].finding.volume_ml, abs=1e-3)


@pytest.mark.parametrize(("found", "told"), [(19, True), (2, False), (0, False)])
def test_it_tells_how_many_were_not_listed(
    rarity: np.ndarray, tmp_path: Path, found: int, told: bool
) -> None:
    path, _ = written(tmp_path, rarity, rows_of(rarity, AFFINE), found)
    content = path.read_bytes()
    assert (b"; listed: the 5 rarest of 19" in content) is (b"; listed:" in content) is told


def test_a_rarity_that_was_not_counted_is_told_as_more_than_that(
    rarity: np.ndarray, tmp_path: Path
) -> None:
    path, _ = written(tmp_path, rarity, rows_of(rarity, AFFINE))
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    name = hd.sr.CodedConcept("rarity", "99SCREENER", "Rarity")
    peaks = [group.get_measurements(name=name)[0] for group in groups]
    assert [one.qualifier for one in peaks] == [codes.DCM.ValueOutOfRange, None]
    assert peaks[0].value == MODEL["rarity_counted_up_to"]


def test_patient_and_study_are_those_of_the_scan(rarity: np.ndarray, tmp_path: Path) -> None:
    path, segments = written(tmp_path, rarity, rows_of(rarity, AFFINE))
    read = pydicom.dcmread(path)
    for name in ("PatientID", "PatientName", "StudyInstanceUID"):
        assert read[name].value == segments[name].value
    assert read.SeriesInstanceUID != segments.SeriesInstanceUID
    assert read.SeriesDescription.endswith("RESEARCH USE ONLY")
    assert read.VerificationFlag == "UNVERIFIED"
    assert read.PreliminaryFlag == "PRELIMINARY"


def test_where_no_place_is_known_no_side_is_claimed(rarity: np.ndarray, tmp_path: Path) -> None:
    rows = [replace(row, place=None) for row in rows_of(rarity, AFFINE)]
    path, _ = written(tmp_path, rarity, rows)
    run_dcmqi("tid1500reader", path, "--outputMetadata", tmp_path / "read.json")
    assert "Laterality" not in (tmp_path / "read.json").read_text()
