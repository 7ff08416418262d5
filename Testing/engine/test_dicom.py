import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import BasicTextSRStorage, RLELossless, SecondaryCaptureImageStorage

from ctscreener.dicom import read_dicom
from ctscreener.errors import InputError
from ctscreener.files import read_mask, read_scan
from ctscreener.itk import from_image
from ctscreener.scan import Scan

OTHER = "1.2.826.0.1.3680043.8.498.2"


def error_of(folder: Path, series: str | None = None) -> InputError:
    """Return the error of reading a folder; it must be one line and must not name the patient."""
    with pytest.raises(InputError) as caught:
        read_scan(folder, series)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value).lower()
    return caught.value


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


def test_two_pictures_of_one_place_are_refused(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", hu=body.hu + 1)
    assert error_of(tmp_path).code == "dicom.overlap"


@pytest.mark.parametrize(
    ("gone", "missing"), [([7], 1), ([7, 8, 9], 3), ([3, 11], 2), ([1, 3, 5, 7, 9, 11], 6)]
)
def test_missing_slices_are_counted_and_placed(
    tmp_path: Path, write_series: Callable[..., list[Path]], gone: list[int], missing: int
) -> None:
    paths = write_series(tmp_path)
    for index in gone:
        paths[index].unlink()
    error = error_of(tmp_path)
    assert error.code == "dicom.missing_slices"
    assert f"{missing} missing" in error.message
    assert paths[gone[0] - 1].name in error.message


@pytest.mark.parametrize("shift", [0.4, -0.7, 1.2])
def test_uneven_gaps_are_refused(
    tmp_path: Path, write_series: Callable[..., list[Path]], shift: float
) -> None:
    def place(data: pydicom.FileDataset, index: int) -> None:
        data.ImagePositionPatient = [0, 0, 2.5 * index + shift * (index > 8)]

    paths = write_series(tmp_path, place)
    error = error_of(tmp_path)
    assert error.code == "dicom.uneven"
    assert f"{paths[8].name} and {paths[9].name}" in error.message


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


def test_scouts_alone_are_refused(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path, scout, hu=body.hu[:2])
    assert error_of(tmp_path).code == "dicom.localizer"


def test_a_series_of_two_directions_is_refused(
    tmp_path: Path, write_series: Callable[..., list[Path]]
) -> None:
    def turn(data: pydicom.FileDataset, _: int) -> None:
        data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    write_series(tmp_path / "a")
    write_series(tmp_path / "b", turn)
    assert error_of(tmp_path).code == "dicom.mixed_series"


@pytest.mark.parametrize("modality", ["MR", "PT", ""])
def test_another_modality_is_refused(
    tmp_path: Path, write_series: Callable[..., list[Path]], modality: str
) -> None:
    write_series(tmp_path, lambda data, _: setattr(data, "Modality", modality))
    error = error_of(tmp_path)
    assert error.code == "dicom.modality"
    assert (modality or "no modality") in error.message


def test_a_ct_beside_another_modality_is_read(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]]
) -> None:
    write_series(tmp_path / "ct")
    write_series(tmp_path / "pt", lambda data, _: setattr(data, "Modality", "PT"), OTHER)
    np.testing.assert_array_equal(read_scan(tmp_path).hu, body.hu)
    assert error_of(tmp_path, OTHER).code == "dicom.modality"


@pytest.mark.parametrize("degrees", [5, -20])
def test_a_tilted_gantry_is_refused_with_its_angle(
    tmp_path: Path, write_series: Callable[..., list[Path]], degrees: float
) -> None:
    def tilt(data: pydicom.FileDataset, index: int) -> None:
        aside = 2.5 * index * np.tan(np.radians(degrees))
        data.ImagePositionPatient = [0, f"{aside:.4f}", 2.5 * index]

    write_series(tmp_path, tilt)
    error = error_of(tmp_path)
    assert error.code == "dicom.tilt"
    assert f"{abs(degrees)}.0 degrees" in error.message


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_slice_cut_short_is_named(
    tmp_path: Path, write_series: Callable[..., list[Path]], kept: float
) -> None:
    path = write_series(tmp_path)[5]
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    error = error_of(tmp_path)
    assert error.code == "dicom.truncated"
    assert path.name in error.message


@pytest.mark.parametrize("shift", [0.4, -0.9])
def test_a_slice_shifted_aside_is_named(
    tmp_path: Path, write_series: Callable[..., list[Path]], shift: float
) -> None:
    def place(data: pydicom.FileDataset, index: int) -> None:
        data.ImagePositionPatient = [shift * (index == 8), 0, 2.5 * index]

    paths = write_series(tmp_path, place)
    error = error_of(tmp_path)
    assert error.code == "dicom.uneven"
    assert f"found {paths[8].name}" in error.message


@pytest.mark.parametrize("off", [0.0015, 0.3])
def test_directions_that_are_not_perpendicular_are_told_as_that(
    tmp_path: Path, write_series: Callable[..., list[Path]], off: float
) -> None:
    def turn(data: pydicom.FileDataset, index: int) -> None:
        data.ImageOrientationPatient = [1, off, 0, 0, 1, 0]

    write_series(tmp_path, turn)
    error = error_of(tmp_path)
    assert error.code == "dicom.geometry"
    assert "right angle" in error.message
    assert f"{off:g}" in error.message


def test_numbers_beyond_reason_are_no_place(
    tmp_path: Path, write_series: Callable[..., list[Path]]
) -> None:
    for tag, value in (("ImagePositionPatient", [0, 0, 1e300]), ("PixelSpacing", [-1, 1])):
        write_series(tmp_path, lambda data, _, tag=tag, value=value: setattr(data, tag, value))
        assert error_of(tmp_path).code == "dicom.geometry"


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


@pytest.mark.parametrize(
    ("place", "first"), [("slices.read_header", -1), ("dicom_pixels.data_set", 0)]
)
def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path,
    write_series: Callable[..., list[Path]],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    first: int,
) -> None:
    def closed(path: Path, *more: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = write_series(tmp_path)[first]
    monkeypatch.setattr(f"ctscreener.{place}", closed)
    error = error_of(tmp_path)
    assert error.code == "scan.unreadable"
    assert f"Permission denied ({path.name})" in error.message


@pytest.mark.parametrize("found", [b"", b"<html>not found</html>"])
def test_a_slice_that_is_no_dicom_file_is_named(
    tmp_path: Path, write_series: Callable[..., list[Path]], found: bytes
) -> None:
    path = write_series(tmp_path)[5]
    path.write_bytes(found)
    assert path.name in error_of(tmp_path).message


@pytest.mark.parametrize(
    "tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
def test_slices_without_a_place_are_refused(
    tmp_path: Path, write_series: Callable[..., list[Path]], tag: str
) -> None:
    write_series(tmp_path, lambda data, _: delattr(data, tag))
    assert error_of(tmp_path).code == "dicom.geometry"


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


def test_screenshots_in_colour_are_refused(
    tmp_path: Path, write_series: Callable[..., list[Path]]
) -> None:
    def colour(data: pydicom.FileDataset, _: int) -> None:
        data.SamplesPerPixel, data.PlanarConfiguration = 3, 0
        data.PhotometricInterpretation = "RGB"
        data.BitsAllocated = data.BitsStored = 8
        data.HighBit, data.PixelRepresentation = 7, 0
        data.PixelData = b"\0" * (data.Rows * data.Columns * 3)

    write_series(tmp_path, colour)
    assert error_of(tmp_path).code == "scan.not_scalar"


def test_several_frames_in_one_file_are_refused(
    tmp_path: Path, write_series: Callable[..., list[Path]], body: Scan
) -> None:
    def stack(data: pydicom.FileDataset, _: int) -> None:
        data.NumberOfFrames = 3
        data.PixelData = data.PixelData * 3

    write_series(tmp_path, stack, hu=body.hu[:1])
    assert error_of(tmp_path).code == "dicom.multiframe"


@pytest.mark.parametrize("count", [1, 5])
def test_too_few_slices_are_refused(
    tmp_path: Path, body: Scan, write_series: Callable[..., list[Path]], count: int
) -> None:
    write_series(tmp_path, hu=body.hu[:count])
    assert error_of(tmp_path).code == "scan.too_few_slices"


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    assert error_of(tmp_path).code == "dicom.empty"
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    assert error_of(tmp_path).code == "dicom.empty"


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


def test_a_real_damaged_download_is_named(real_scans: Path) -> None:
    with pytest.raises(InputError, match=r"1-084\.dcm") as caught:
        read_dicom(real_scans / "bad_input" / "lidc0001_with_truncated_slice")
    assert caught.value.code == "dicom.truncated"
