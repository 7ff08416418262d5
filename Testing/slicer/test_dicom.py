"""DICOM out: what dcmqi, by which Slicer reads it, and highdicom find in it."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from ctscreener.findings import NOTICE, FindingSettings, find
from ctscreener.itk import from_image
from ctscreener.scan import Scan
from ScreenerSlicerLib.export.dicom import rarity_map, save, segmentation
from ScreenerSlicerLib.export.dicom_source import planes_of, read_source
from ScreenerSlicerLib.scene.regions import Region, regions_of
from Testing.slicer.dicom_series import GRIDS, SHAPE, affine_of, read_by_dcmqi, write_series

pytest.importorskip("dcmqi")
hd = pytest.importorskip("highdicom")

MODEL = {"name": "preview", "weights_sha256": "ab" * 32, "rarity_counted_up_to": 3.97}
PROVENANCE = {"model": MODEL}
SETTINGS = FindingSettings(3.0, 0.0)


@pytest.fixture
def rarity(rng: np.random.Generator) -> np.ndarray:
    """A map that is no mirror image of itself, NaN in a third of it."""
    rarity = rng.random(SHAPE).astype(np.float32) * 2
    rarity[:, :4] = np.nan
    rarity[1:3, 6:9, 2:5] = 4.5
    rarity[7, 10, 11] = 3.5
    return rarity


def by_place(values: np.ndarray, affine: np.ndarray) -> dict[tuple[float, ...], float]:
    """Values by where they lie, so that the order of an array does not matter."""
    index = np.argwhere(~np.isnan(values) & (values != 0))
    places = (index @ affine[:3, :3].T + affine[:3, 3]).round(3) + 0.0
    return dict(zip(map(tuple, places.tolist()), values[tuple(index.T)].tolist(), strict=True))


def write_rarity_map(
    path: Path, source: list[Path], rarity: np.ndarray, affine: np.ndarray, provenance: dict
) -> None:
    """Make and write a map."""
    headers = read_source(source, rarity.shape, affine)
    save(path, rarity_map(headers, rarity, affine, provenance))


def write_regions(
    path: Path, source: list[Path], regions: list[Region], affine: np.ndarray
) -> None:
    """Make and write segments."""
    headers = read_source(source, SHAPE, affine)
    save(path, segmentation(headers, regions, SHAPE, affine, PROVENANCE))


@pytest.mark.parametrize("grid", list(GRIDS))
def test_slicers_reader_finds_every_value_at_its_place(
    grid: str, rarity: np.ndarray, tmp_path: Path
) -> None:
    affine = GRIDS[grid]
    source = write_series(tmp_path, affine)
    write_rarity_map(tmp_path / "map.dcm", source, rarity, affine, PROVENANCE)
    folder = read_by_dcmqi("paramap2itkimage", tmp_path / "map.dcm", tmp_path / "read")
    values, read_affine = from_image(sitk.ReadImage(str(folder / "pmap.nrrd")))
    assert values.dtype == np.float32
    assert by_place(values, read_affine) == by_place(rarity, affine)
    assert np.isnan(values).sum() == np.isnan(rarity).sum()
    said = json.loads((folder / "meta.json").read_text())
    assert said["QuantityValueCode"]["CodeMeaning"] == "Rarity"
    assert "RESEARCH USE ONLY" in said["SeriesDescription"]
    volume = hd.imread(tmp_path / "map.dcm").get_volume()
    to_ras = np.diag([-1.0, -1, 1, 1])
    assert by_place(volume.array, to_ras @ volume.affine) == by_place(rarity, affine)


@pytest.mark.parametrize("grid", list(GRIDS))
def test_slicers_reader_finds_every_segment_at_its_place(
    grid: str, rarity: np.ndarray, tmp_path: Path
) -> None:
    affine = GRIDS[grid]
    source = write_series(tmp_path, affine)
    found = find(rarity, Scan(rarity, affine), SETTINGS)
    regions = regions_of(found, rarity, SETTINGS.threshold)
    assert len(regions) == 2
    write_regions(tmp_path / "seg.dcm", source, regions, affine)
    folder = read_by_dcmqi("segimage2itkimage", tmp_path / "seg.dcm", tmp_path / "read")
    read: dict[tuple[float, ...], float] = {}
    for file in sorted(folder.glob("*.nrrd")):
        values, read_affine = from_image(sitk.ReadImage(str(file)))
        read |= by_place(values.astype(np.float32), read_affine)
    expected = np.zeros(SHAPE, np.float32)
    for number, region in enumerate(regions, start=1):
        expected.reshape(-1)[region.voxels] = number
    assert read == by_place(expected, affine)
    written = hd.seg.segread(tmp_path / "seg.dcm")
    assert written.SeriesDescription.endswith("RESEARCH USE ONLY")
    kinds = {one.segmented_property_type.meaning for one in written.SegmentSequence}
    assert kinds == {"Anomalous region"}
    labels = [one.SegmentLabel for one in written.SegmentSequence]
    assert labels == [f"Anomalous region {n}, rarity {r}" for n, r in ((1, "> 3.9"), (2, "3.5"))]


def test_patient_study_and_frame_are_those_of_the_scan(rarity: np.ndarray, tmp_path: Path) -> None:
    affine = GRIDS["tilted"]
    source = write_series(tmp_path, affine, without=["AccessionNumber", "PatientBirthDate"])
    write_rarity_map(tmp_path / "map.dcm", source, rarity, affine, {"synthetic": True})
    written, of_scan = pydicom.dcmread(tmp_path / "map.dcm"), pydicom.dcmread(source[0])
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert written[name].value == of_scan[name].value
    assert written.SeriesInstanceUID != of_scan.SeriesInstanceUID
    assert written.ContentQualification == "RESEARCH"
    assert NOTICE in written.ImageComments
    assert "SYNTHETIC" in written.ImageComments
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".dcm")] == []


def test_files_of_another_grid_are_refused(rarity: np.ndarray, tmp_path: Path) -> None:
    affine = GRIDS["lowest slice first"]
    source = write_series(tmp_path, affine)
    moved, turned = affine.copy(), affine.copy()
    moved[:3, 3] += [0, 0, 1.0]
    turned[:3, [1, 2]] *= -1
    for other in (moved, turned, GRIDS["tilted"]):
        with pytest.raises(InputError) as refused:
            write_rarity_map(tmp_path / "map.dcm", source, rarity, other, PROVENANCE)
        assert refused.value.code == "dicom.grid"
    assert not (tmp_path / "map.dcm").exists()


def test_files_that_are_not_the_scans_are_refused(tmp_path: Path) -> None:
    affine = GRIDS["tilted"]
    source = write_series(tmp_path, affine)
    (tmp_path / "text.dcm").write_text("no DICOM")
    other = tmp_path / "other"
    other.mkdir()
    mixed = [*source[1:], write_series(other, affine)[0]]
    no_place = tmp_path / "no_place"
    no_place.mkdir()
    cases = {
        "for 9 slices": source[1:],
        "cannot be read": [*source[1:], tmp_path / "text.dcm"],
        "several series": mixed,
        "where they lie": write_series(no_place, affine, ["ImagePositionPatient"]),
    }
    for found, files in cases.items():
        with pytest.raises(InputError, match=found) as refused:
            read_source(files, SHAPE, affine)
        assert refused.value.code == "dicom.source"


def test_headers_come_in_the_order_of_the_slices(tmp_path: Path) -> None:
    for upwards in (True, False):
        folder = tmp_path / str(upwards)
        folder.mkdir()
        affine = affine_of(10, upwards)
        headers = read_source(write_series(folder, affine), SHAPE, affine)
        places = np.array([one.ImagePositionPatient for one in headers], float)
        np.testing.assert_allclose(places, planes_of(SHAPE, affine).positions, atol=1e-6)


def test_a_segment_needs_no_more_than_its_voxels(rarity: np.ndarray, tmp_path: Path) -> None:
    affine = GRIDS["lowest slice first"]
    found = find(rarity, Scan(rarity, affine), SETTINGS)[:1]
    peak = np.array([np.ravel_multi_index(found[0].peak_index, SHAPE)])
    source = write_series(tmp_path, affine)
    write_regions(tmp_path / "seg.dcm", source, [Region(found[0], peak)], affine)
    assert hd.seg.segread(tmp_path / "seg.dcm").NumberOfFrames == 1
