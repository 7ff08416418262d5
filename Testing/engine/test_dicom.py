"""Series of DICOM slices are read with their places, whatever lies beside them."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from ctscreener.files import read_mask, read_scan
from ctscreener.itk import from_image
from ctscreener.scan import Scan
from Testing.engine.refused_folder import error_of

OTHER = "1.2.826.0.1.3680043.8.498.2"


def test_slices_are_ordered_and_spaced_by_their_positions(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hu, body.hu)
    np.testing.assert_allclose(scan.affine, body.affine, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_any_direction_gives_the_geometry_of_itk(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    normal = np.cross(turn[0], turn[1])

    def lie(data: pydicom.FileDataset, index: int) -> None:
        data.ImageOrientationPatient = [f"{number:.12f}" for number in (*turn[0], *turn[1])]
        data.ImagePositionPatient = [f"{x:.10f}" for x in (10, 20, 30) + 2.5 * index * normal]

    write_series(tmp_path, lie)
    scan = read_scan(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    values, affine = from_image(reader.Execute())
    np.testing.assert_array_equal(scan.hu, body.hu)
    np.testing.assert_array_equal(scan.hu, values)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-5)


def test_a_fractional_slope_keeps_its_fractions(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    def rescale(data: pydicom.FileDataset, index: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = 0.25, -1100.5
        data.PixelData = np.round((body.hu[index] + 1100.5) * 4).astype("<i2").tobytes()

    write_series(tmp_path, rescale)
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)


def test_compressed_slices_are_read(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path, lambda data, _: data.compress(RLELossless))
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)


@pytest.mark.parametrize(("gap", "decimals"), [(0.625, 1), (1.25, 1), (0.625, 2), (2.5, 0)])
def test_rounded_positions_are_read_as_a_straight_line(
    tmp_path: Path, write_series: Callable[..., list[Path]], gap: float, decimals: int
) -> None:
    def place(data: pydicom.FileDataset, index: int) -> None:
        data.ImagePositionPatient = [0, 0, f"{gap * index + 0.02:.{decimals}f}"]

    write_series(tmp_path, place)
    if decimals == 0:
        assert error_of(tmp_path).code == "dicom.uneven"
        return
    scan = read_scan(tmp_path)
    ends = scan.affine[2, 3] + np.array([0, 19]) * scan.affine[2, 0]
    np.testing.assert_allclose(ends, np.array([0, 19]) * gap + 0.02, atol=0.04)


def test_subfolders_are_searched_and_other_files_ignored(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    paths = write_series(tmp_path / "disk" / "series one")
    (tmp_path / "notes.txt").write_text("no scan")
    report = pydicom.dcmread(paths[0])
    report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    del report.PixelData, report.Rows, report.Columns
    report.save_as(tmp_path / "report.dcm")
    (tmp_path / "old.bin").write_bytes(b"\x08\x00" + b"\0" * 50)
    (tmp_path / "disk" / "._1-001.dcm").write_bytes(b"hidden")
    paths[3].rename(paths[3].with_name("NO_ENDING"))
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)


@pytest.mark.parametrize("kind", ["1.2.840.10008.5.14.1.1.2", CTImageStorage])
def test_a_cut_slice_is_refused_though_its_class_is_damaged_too(
    tmp_path: Path, write_series: Callable[..., list[Path]], kind: str
) -> None:
    first = write_series(tmp_path)[0]
    data = pydicom.dcmread(first)
    data.file_meta.MediaStorageSOPClassUID = kind
    data.save_as(first)
    first.write_bytes(first.read_bytes()[:-9])
    error = error_of(tmp_path)
    assert (error.code, first.name in error.message) == ("dicom.truncated", True)


def test_a_cut_report_beside_a_scan_is_left_out_aloud(
    tmp_path: Path,
    body: Scan,
    write_series: Callable[..., list[Path]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = pydicom.dcmread(write_series(tmp_path)[0])
    report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    report.save_as(tmp_path / "report.dcm")
    (tmp_path / "report.dcm").write_bytes((tmp_path / "report.dcm").read_bytes()[:-9])
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)
    assert "Skipped report.dcm: damaged" in caplog.text


def test_exact_copies_are_dropped(
    tmp_path: Path,
    body: Scan,
    write_series: Callable[..., list[Path]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    paths = write_series(tmp_path)
    for number in (0, 7):
        (tmp_path / f"copy {number}.dcm").write_bytes(paths[number].read_bytes())
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)
    assert caplog.text.count("copy of") == 2


def test_several_series_are_listed_and_one_can_be_picked(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    first = write_series(tmp_path / "first", hu=body.hu - 3)[0]
    write_series(tmp_path / "second", series=OTHER)
    error = error_of(tmp_path)
    assert error.code == "dicom.several_series"
    uid = pydicom.dcmread(first).SeriesInstanceUID
    for words in (OTHER, uid, "20 images", "Body 2.5", "from first/", "from second/"):
        assert words in error.message
    np.testing.assert_array_equal(read_scan(tmp_path, OTHER).hu, body.hu)
    unknown = error_of(tmp_path, "1.2.3")
    assert unknown.code == "dicom.no_such_series"
    assert OTHER in unknown.message


def scout(data: pydicom.FileDataset, _: int) -> None:
    """Make a slice a scout image, seen from the side."""
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


@pytest.mark.parametrize("series", ["1.2.826.0.1.3680043.8.498.1", OTHER])
def test_scouts_are_left_out_and_logged(
    tmp_path: Path,
    body: Scan,
    write_series: Callable[..., list[Path]],
    caplog: pytest.LogCaptureFixture,
    series: str,
) -> None:
    caplog.set_level(logging.INFO)
    write_series(tmp_path)
    write_series(tmp_path / "scout", scout, series, hu=body.hu[:2])
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)
    assert f"Left out a scout, or a few images beside the scan: {series}" in caplog.text
    assert "(CT, 2 images, 'Body 2.5', from scout/" in caplog.text


def test_a_few_images_of_another_direction_are_left_out(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    def turn(data: pydicom.FileDataset, _: int) -> None:
        data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    write_series(tmp_path)
    write_series(tmp_path / "planning", turn, hu=body.hu[:3])
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)


def test_a_ct_beside_another_modality_is_read(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path / "ct")
    write_series(tmp_path / "pt", lambda data, _: setattr(data, "Modality", "PT"), OTHER)
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)
    assert error_of(tmp_path, OTHER).code == "dicom.modality"


def test_linked_folders_are_read_and_links_to_nothing_named(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    paths = write_series(tmp_path / "archive")
    study = tmp_path / "study"
    study.mkdir()
    (study / "series").symlink_to(tmp_path / "archive")
    np.testing.assert_array_equal(read_scan(study).hu, body.hu)
    paths[0].rename(tmp_path / "away")
    paths[0].symlink_to("gone")
    error = error_of(study)
    assert error.code == "scan.dangling_link"
    assert f"series/{paths[0].name}" in error.message


def test_a_screenshot_beside_a_scan_is_left_out(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    def shoot(data: pydicom.FileDataset, _: int) -> None:
        data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        data.SOPClassUID = SecondaryCaptureImageStorage
        del data.ImagePositionPatient

    write_series(tmp_path)
    write_series(tmp_path, shoot, OTHER)
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)


def test_an_odd_description_is_listed_on_one_line(
    tmp_path: Path, write_series: Callable[..., list[Path]]
) -> None:
    def describe(data: pydicom.FileDataset, _: int) -> None:
        data.SpecificCharacterSet = "ISO_IR 100"
        data.SeriesDescription = "Sch\u00e4del\t1"

    write_series(tmp_path, describe)
    write_series(tmp_path, describe, OTHER)
    assert "Sch?del?1" in error_of(tmp_path).message


def test_the_real_series_is_read_as_itk_reads_it(real_scans: Path) -> None:
    folder = real_scans / "lidc0001_dicom"
    scan = read_scan(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    values, affine = from_image(reader.Execute())
    np.testing.assert_array_equal(scan.hu, values)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-6)
    lesion = read_mask(real_scans / "lidc0001_dicom_lesion.nii.gz", scan) > 0
    assert np.median(scan.hu[lesion]) > -300
