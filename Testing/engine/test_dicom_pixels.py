"""Values of slices in every form, compared with pydicom, and forms that are refused."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from ctscreener.dicom import read_dicom
from ctscreener.errors import InputError
from ctscreener.scan import Scan

WriteSeries = Callable[..., list[Path]]
ODD = 7
"""Which slice is unlike the others."""


def error_of(folder: Path, code: str) -> str:
    """Return the one line that refuses a folder."""
    with pytest.raises(InputError) as caught:
        read_dicom(folder)
    assert (caught.value.code, "\n" in str(caught.value)) == (code, False)
    return caught.value.message


def by_pydicom(paths: list[Path]) -> np.ndarray:
    """Read slices that were written in order."""
    slices = [pydicom.dcmread(path) for path in paths]
    return np.stack(
        [data.pixel_array * data.RescaleSlope + float(data.RescaleIntercept) for data in slices]
    ).astype(np.float32)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("allocated", "stored", "signed"),
    [(8, 8, 0), (16, 12, 0), (16, 12, 1), (16, 16, 0), (16, 16, 1), (32, 20, 1), (32, 32, 0)],
)
def test_stored_values_of_any_kind_are_those_of_pydicom(
    tmp_path: Path,
    write_series: WriteSeries,
    rng: np.random.Generator,
    syntax: UID,
    allocated: int,
    stored: int,
    signed: int,
) -> None:
    def store(data: FileDataset, _: int) -> None:
        data.BitsAllocated, data.BitsStored, data.HighBit = allocated, stored, stored - 1
        data.PixelRepresentation = signed
        # Bits above those in use hold anything.
        values = rng.integers(0, 1 << allocated, data.Rows * data.Columns, dtype=np.uint64)
        data.PixelData = values.astype(f"<u{allocated // 8}").tobytes()
        data.RescaleSlope, data.RescaleIntercept = "0.75", "-1024.5"
        data.file_meta.TransferSyntaxUID = syntax

    paths = write_series(tmp_path, store)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, by_pydicom(paths))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("cut", [3, 100])
def test_a_packed_picture_that_ends_early_is_named(
    tmp_path: Path, write_series: WriteSeries, syntax: UID, cut: int
) -> None:
    def pack(data: FileDataset, index: int) -> None:
        data.compress(syntax)
        if index == ODD:
            whole = pydicom.encaps.get_frame(data.PixelData, 0, number_of_frames=1)
            # Encoders pad to an even length.
            data.PixelData = encapsulate([whole.rstrip(b"\0")[:-cut]])
            data["PixelData"].is_undefined_length = True

    path = write_series(tmp_path, pack)[ODD]
    assert path.name in error_of(tmp_path, "dicom.truncated")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, DeflatedExplicitVRLittleEndian])
def test_packed_slices_are_those_of_pydicom(
    tmp_path: Path, write_series: WriteSeries, body: Scan, syntax: UID
) -> None:
    def pack(data: FileDataset, _: int) -> None:
        if syntax.is_encapsulated:
            data.compress(syntax)
        data.file_meta.TransferSyntaxUID = syntax

    paths = write_series(tmp_path, pack)
    np.testing.assert_array_equal(by_pydicom(paths), body.hu)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, body.hu)


def test_a_big_endian_series_is_read(
    tmp_path: Path, write_series: WriteSeries, body: Scan
) -> None:
    for path in write_series(tmp_path):
        data = pydicom.dcmread(path)
        data.PixelData = np.frombuffer(data.PixelData, "<u2").byteswap().tobytes()
        data["PixelData"].VR = "OW"
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, body.hu)


def test_dark_and_light_swapped_for_display_leaves_the_values(
    tmp_path: Path, write_series: WriteSeries, body: Scan
) -> None:
    def swap(data: FileDataset, _: int) -> None:
        data.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path, swap)
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, body.hu)
    write_series(tmp_path, lambda data, index: (swap(data, index), data.compress(RLELossless)))
    assert "MONOCHROME1" in error_of(tmp_path, "dicom.pixels")


@pytest.mark.parametrize("length", [0, 2, 288, 574, 578, 1152])
def test_pixels_that_are_not_as_many_as_promised_are_refused(
    tmp_path: Path, write_series: WriteSeries, length: int
) -> None:
    def shorten(data: FileDataset, index: int) -> None:
        if index == ODD:
            data.PixelData = (data.PixelData * 2)[:length]

    path = write_series(tmp_path, shorten)[ODD]
    message = error_of(tmp_path, "dicom.truncated")
    assert f"in {path.name}, found {length} bytes of pixels for the 576" in message


def eight_bits(data: FileDataset) -> None:
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = data.PixelData[::2]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (eight_bits, "bits a pixel"),
        (lambda data: setattr(data, "PixelRepresentation", 0), "pixel representation"),
        (lambda data: setattr(data, "PhotometricInterpretation", "MONOCHROME1"), "photometric"),
        (lambda data: delattr(data, "RescaleIntercept"), "rescale intercept in the series, found"),
        (lambda data: setattr(data, "RescaleIntercept", 0), "found 0.0 in"),
        (lambda data: setattr(data, "RescaleSlope", 2), "rescale slope"),
        (lambda data: setattr(data, "RescaleType", "HU"), "rescale type"),
    ],
)
@pytest.mark.parametrize("odd", [0, ODD])
def test_one_slice_whose_values_mean_something_else_is_named(
    tmp_path: Path,
    write_series: WriteSeries,
    change: Callable[[FileDataset], None],
    what: str,
    odd: int,
) -> None:
    paths = write_series(tmp_path, lambda data, index: index == odd and change(data))
    message = error_of(tmp_path, "dicom.mixed_pixels")
    assert what in message
    assert f"{paths[odd].name} (1 of 20 slices)" in message


def table(data: FileDataset) -> None:
    data.ModalityLUTSequence = [Dataset()]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (table, "a table of values"),
        (lambda data: setattr(data, "RescaleType", "MGML"), "'MGML', not in HU"),
        (lambda data: setattr(data, "RescaleSlope", 0), "slope of '0.0'"),
        (lambda data: setattr(data, "RescaleIntercept", 1e30), "intercept of '1e+30'"),
        (lambda data: setattr(data, "HighBit", 3), "16 bits a pixel"),
        (lambda data: setattr(data, "Rows", 0), "size of 0 x 16"),
        (lambda data: delattr(data, "PixelRepresentation"), "no samples a pixel"),
        (lambda data: delattr(data, "BitsAllocated"), "no samples a pixel"),
    ],
)
def test_values_that_are_no_hounsfield_units_are_refused(
    tmp_path: Path, write_series: WriteSeries, change: Callable[[FileDataset], None], what: str
) -> None:
    write_series(tmp_path, lambda data, _: change(data))
    assert what in error_of(tmp_path, "dicom.pixels")


def test_a_compressed_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    def claim(data: FileDataset, _: int) -> None:
        data.compress(RLELossless)
        data.Rows = data.Columns = 65535

    write_series(tmp_path, claim)
    assert "65535 x 65535" in error_of(tmp_path, "dicom.pixels")


def test_a_deflated_bomb_is_refused(
    tmp_path: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack(data: FileDataset, _: int) -> None:
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        data.add_new(0x00091010, "UN", bytes(1 << 20))

    monkeypatch.setattr("ctscreener.dicom_parser.MAX_INFLATED", 1 << 19)
    write_series(tmp_path, pack)
    assert "larger than any slice" in error_of(tmp_path, "dicom.truncated")


def test_an_element_of_gigabytes_is_passed_over_or_refused(
    tmp_path: Path, write_series: WriteSeries, body: Scan
) -> None:
    """Three gigabytes that are there are never read; those that are not are an error."""
    path = write_series(tmp_path)[ODD]
    content, size = path.read_bytes(), 3 << 30
    pixels = content.rindex(b"\xe0\x7f\x10\x00")
    large = b"\x09\x00\x10\x10UN\0\0" + size.to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(content[:pixels] + large)
        # A hole: it takes no room on the disk.
        file.seek(size, 1)
        file.write(content[pixels:])
    tracemalloc.start()
    np.testing.assert_array_equal(read_dicom(tmp_path).hu, body.hu)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    path.write_bytes(content[:pixels] + large + content[pixels:])
    message = error_of(tmp_path, "dicom.truncated")
    assert f"{path.name}, found element (0009,1010) claiming {size} bytes" in message


def test_lossy_jpeg_of_12_bits_is_read_in_silence(
    tmp_path: Path, write_series: WriteSeries, capfd: pytest.CaptureFixture[str]
) -> None:
    example = Path(str(get_testdata_file("JPEG-lossy.dcm")))
    picture = pydicom.encaps.get_frame(pydicom.dcmread(example).PixelData, 0)

    def pack(data: FileDataset, _: int) -> None:
        data.Rows, data.Columns, data.BitsStored, data.HighBit = 1024, 256, 12, 11
        data.PixelRepresentation, data.RescaleIntercept = 0, -20
        data.PixelData = encapsulate([picture])
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = JPEGExtended12Bit

    write_series(tmp_path, pack, hu=np.zeros((3, 1, 1), np.int16))
    scan = read_dicom(tmp_path)
    assert capfd.readouterr() == ("", "")
    with_noise = sitk.GetArrayFromImage(sitk.ReadImage(str(example)))
    for values in scan.hu:
        np.testing.assert_array_equal(values, with_noise[0] - 20.0)
    # It can print again.
    assert "precision 12" in capfd.readouterr().err
