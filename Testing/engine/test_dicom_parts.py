"""What of a folder is one volume: sizes, phases, strays; nothing vanishes without a word."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from ctscreener.dicom import read_dicom
from ctscreener.dicom_parts import scan_series
from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ctscreener.slices import read_slices

WriteSeries = Callable[..., list[Path]]
Change = Callable[[FileDataset, int], None]
SERIES, OTHER = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


def error_of(folder: Path, series: str | None = None) -> InputError:
    """Return the error of reading a folder."""
    with pytest.raises(InputError) as caught:
        read_dicom(folder, series)
    assert "\n" not in str(caught.value)
    return caught.value


def smaller(data: FileDataset) -> None:
    data.Rows, data.PixelData = data.Rows - 2, data.PixelData[: -4 * data.Columns]


def unplaced(data: FileDataset) -> None:
    del data.ImagePositionPatient


def other_modality(data: FileDataset) -> None:
    data.Modality = "OT"


@pytest.mark.parametrize("change", [smaller, unplaced, other_modality])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("end", ["first", "last"])
def test_unlike_slices_at_an_end_are_listed_and_the_rest_can_be_picked(
    tmp_path: Path,
    body: Scan,
    write_series: WriteSeries,
    change: Callable[[FileDataset], None],
    count: int,
    end: str,
) -> None:
    odd = range(count) if end == "first" else range(20 - count, 20)
    paths = write_series(tmp_path, lambda data, index: index in odd and change(data))
    error = error_of(tmp_path)
    assert error.code == "dicom.mixed_series"
    assert f"{SERIES}#1 (CT, {20 - count} images" in error.message
    assert f", {count} image" in error.message
    assert min(paths[index].name for index in odd) in error.message
    kept = np.delete(body.hu, list(odd), axis=0)
    np.testing.assert_array_equal(read_dicom(tmp_path, f"{SERIES}#1").hu, kept)


MARKS: dict[str, list[object]] = {
    "AcquisitionNumber": [1, 2, 3],
    "TemporalPositionIdentifier": [1, 2, 3],
    "NominalPercentageOfCardiacPhase": [40, 75, 80],
    "ConvolutionKernel": ["B30f", "B70f", "B50f"],
    "KVP": [80, 140, 100],
    "SeriesDescription": ["10%", "20%", "30%"],
    "FrameOfReferenceUID": ["1.2.3", "1.2.4", "1.2.5"],
    "AcquisitionTime": ["101010", "111010", "110000"],
    "ContentTime": ["101010", "101011.5", "101012"],
    "AcquisitionDateTime": ["20240101101010", "20240101101110", "20240102"],
}


@pytest.mark.parametrize("tag", [*MARKS, "InstanceNumber"])
@pytest.mark.parametrize("same_place", [False, True])
@pytest.mark.parametrize("phases", [2, 3])
def test_interleaved_phases_are_told_apart_and_one_can_be_picked(
    tmp_path: Path,
    body: Scan,
    write_series: WriteSeries,
    tag: str,
    same_place: bool,
    phases: int,
) -> None:
    def mark(data: FileDataset, index: int) -> None:
        number, turn = index // phases, index % phases
        if tag == "InstanceNumber":
            data.InstanceNumber = 1 + 50 * turn + number
        else:
            setattr(data, tag, MARKS[tag][turn])
        if same_place:
            data.ImagePositionPatient[2] = 2.5 * number

    hu = body.hu[: 18 if phases == 3 else 20]
    write_series(tmp_path, mark, hu=hu)
    error = error_of(tmp_path)
    assert error.code == "dicom.mixed_series"
    assert f"found {phases} kinds" in error.message
    assert tag.removesuffix("Identifier") in error.message
    read = [read_dicom(tmp_path, f"{SERIES}#{number + 1}").hu for number in range(phases)]
    for one in read:
        assert any(np.array_equal(one, hu[turn::phases]) for turn in range(phases))
    assert len({one.tobytes() for one in read}) == phases


def stepwise(data: FileDataset, index: int) -> None:
    data.AcquisitionNumber, data.AcquisitionTime = 1 + index // 4, f"1010{10 + index // 4}"


def one_each(data: FileDataset, index: int) -> None:
    data.AcquisitionNumber, data.FrameOfReferenceUID = 1 + index, f"1.2.{index}"


def later_and_later(data: FileDataset, index: int) -> None:
    """Reconstructed by several processors, and written as each had done."""
    jitter = np.random.default_rng(index).uniform(-0.3, 0.3)
    data.ContentTime, data.AcquisitionTime = f"1010{10 + 0.1 * index + jitter:05.2f}", "101010"


def any_order(data: FileDataset, index: int) -> None:
    data.InstanceNumber = int(np.random.default_rng(3).permutation(20)[index])
    data.ContentTime = f"{101010 + int(np.random.default_rng(4).permutation(20)[index])}"


@pytest.mark.parametrize("change", [stepwise, one_each, later_and_later, any_order])
def test_what_lies_one_above_the_other_is_one_volume(
    tmp_path: Path, body: Scan, write_series: WriteSeries, change: Change
) -> None:
    write_series(tmp_path, change)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, body.hu)


def test_a_single_slice_of_another_acquisition_is_not_taken(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    def mark(data: FileDataset, index: int) -> None:
        data.AcquisitionNumber = 2 if index == 7 else 1

    path = write_series(tmp_path, mark)[7]
    message = error_of(tmp_path).message
    assert f"1 image, 'Body 2.5', 18 x 16, AcquisitionNumber 2, from {path.name}" in message


def test_a_stray_image_of_another_series_is_said_aloud(
    tmp_path: Path, body: Scan, write_series: WriteSeries, caplog: pytest.LogCaptureFixture
) -> None:
    def stray(data: FileDataset, index: int) -> None:
        if index == 19:
            data.SeriesInstanceUID = OTHER

    path = write_series(tmp_path, stray)[19]
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, body.hu[:19])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert OTHER in record.getMessage()
    assert path.name in record.getMessage()


def test_a_slice_of_no_series_may_be_of_any(tmp_path: Path, write_series: WriteSeries) -> None:
    def stray(data: FileDataset, index: int) -> None:
        if index == 19:
            del data.SeriesInstanceUID

    path = write_series(tmp_path, stray)[19]
    error = error_of(tmp_path)
    assert error.code == "dicom.several_series"
    assert "no SeriesInstanceUID (CT, 1 image" in error.message
    assert path.name in error.message


def test_many_parts_are_listed_in_one_line_of_some_length(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    def mark(data: FileDataset, index: int) -> None:
        data.AcquisitionNumber = 1 + index % 10

    write_series(tmp_path, mark)
    assert error_of(tmp_path).message.endswith("; and 4 more.")


def test_series_that_can_be_scans_are_named(tmp_path: Path, write_series: WriteSeries) -> None:
    def scout(data: FileDataset, _: int) -> None:
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    write_series(tmp_path / "scout", scout, "1.2.3")
    assert scan_series(read_slices(tmp_path)) == ["1.2.3"]
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", series=OTHER)
    write_series(tmp_path / "pet", lambda data, _: setattr(data, "Modality", "PT"), "1.2.4")
    assert scan_series(read_slices(tmp_path)) == [SERIES, OTHER]
