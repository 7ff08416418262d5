"""Folders that hold no whole CT series are refused, with what is wrong in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctscreener.dicom import read_dicom
from ctscreener.errors import InputError
from ctscreener.scan import Scan
from Testing.engine.refused_folder import error_of


def scout(data: pydicom.FileDataset, _: int) -> None:
    """Make a slice a scout image, seen from the side."""
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


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


def test_a_real_damaged_download_is_named(real_scans: Path) -> None:
    with pytest.raises(InputError, match=r"1-084\.dcm") as caught:
        read_dicom(real_scans / "bad_input" / "lidc0001_with_truncated_slice")
    assert caught.value.code == "dicom.truncated"
