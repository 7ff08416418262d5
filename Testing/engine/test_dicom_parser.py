"""Elements of DICOM files, compared with pydicom; lengths that lead astray."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from ctscreener.dicom_elements import DamagedError, Elements, decimal
from ctscreener.dicom_parser import data_set, read_header

WriteSeries = Callable[..., list[Path]]
ROWS, SERIES, NESTED, KEPT = 0x0028_0010, 0x0020_000E, 0x0040_0555, 0x0008_0070
WANTED, ENTERED = {ROWS, SERIES, KEPT}, {NESTED}


def random_item(rng: np.random.Generator, depth: int) -> Dataset:
    """Make a data set with sequences in it, of known and of unknown length."""
    item = Dataset()
    item.Manufacturer = "".join(rng.choice(list("ABC ~"), rng.integers(9)))
    item.add_new(0x00091010, "UN", rng.bytes(2 * rng.integers(5)))
    for name in ("AcquisitionContextSequence", "ReferencedImageSequence")[: 2 if depth else 0]:
        items = [random_item(rng, depth - 1) for _ in range(rng.integers(4))]
        for inner in items:
            inner.is_undefined_length_sequence_item = bool(rng.integers(2))
        setattr(item, name, items)
        item[name].is_undefined_length = bool(rng.integers(2))
    return item


def same(found: Elements, written: Dataset) -> None:
    """Compare what was kept with what was written, all the way down."""
    assert found.text(KEPT) == written.Manufacturer.strip()
    inner = written.get("AcquisitionContextSequence", [])
    assert len(found.items.get(NESTED, [])) == len(inner)
    for one, other in zip(found.items.get(NESTED, []), inner, strict=True):
        same(one, other)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("seed", range(10))
def test_nested_elements_are_those_that_were_written(
    tmp_path: Path, write_series: WriteSeries, syntax: UID, seed: int
) -> None:
    rng = np.random.default_rng(seed)

    def nest(data: FileDataset, _: int) -> None:
        data.update(random_item(rng, 3))
        data.file_meta.TransferSyntaxUID = syntax

    for path in write_series(tmp_path, nest)[:3]:
        written = pydicom.dcmread(path)
        header = read_header(path, WANTED, ENTERED)
        same(header.elements, written)
        assert header.elements.whole(ROWS, 0) == written.Rows
        assert header.elements.text(SERIES) == written.SeriesInstanceUID
        pixels = header.elements.pixels
        assert pixels is not None
        with data_set(path) as take:
            assert take(pixels.start, pixels.length) == written.PixelData


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("preamble", [True, False])
def test_every_file_that_is_cut_short_is_found_out(
    tmp_path: Path, write_series: WriteSeries, packed: bool, preamble: bool
) -> None:
    rng = np.random.default_rng(0)

    def nest(data: FileDataset, _: int) -> None:
        data.update(random_item(rng, 2))
        if packed:
            data.compress(RLELossless)

    content = write_series(tmp_path, nest)[0].read_bytes()[0 if preamble else 132 :]
    path = tmp_path / "cut.dcm"
    path.write_bytes(content)
    whole = read_header(path, WANTED, ENTERED).elements
    assert whole.pixels is not None
    end = whole.pixels.start + whole.pixels.length
    for length in rng.integers(0, len(content), 60):
        path.write_bytes(content[:length])
        try:
            found = read_header(path, WANTED, ENTERED)
        except DamagedError:
            continue
        # Cut between two elements: it holds no pixels then.
        assert found.elements.pixels is None
        assert length < end


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_sequences_nested_too_deep_end_soon(tmp_path: Path, syntax: str) -> None:
    head = bytes(128) + b"DICM"
    if syntax == "explicit":
        opened = b"\x40\x00\x55\x05SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    else:
        opened = b"\x40\x00\x55\x05\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path = tmp_path / "deep"
    path.write_bytes(head + opened * 100_000)
    with pytest.raises(DamagedError, match="nested"):
        read_header(path, WANTED, ENTERED)


@pytest.mark.parametrize(
    ("element", "words"),
    [
        (b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 1 << 31), "claiming 2147483648"),
        (b"\x08\x00\x70\x00LO\xff\xff", r"element \(0008,0070\) claiming 65535"),
        (b"\x08\x00\x70\x00UN\0\0" + struct.pack("<I", 1 << 17) + bytes(1 << 17), "a short"),
        (b"\x40\x00\x55\x05SQ\0\0\x08\0\0\0\xfe\xff\x00\xe0\x09\0\0\0" + bytes(9), "claiming 9"),
        (b"\x40\x00\x55\x05SQ\0\0\x08\0\0\0" + bytes(8), "where an item"),
        (b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\x09\0\0\0", "pixels end early"),
    ],
)
def test_claims_beyond_the_end_are_named(tmp_path: Path, element: bytes, words: str) -> None:
    path = tmp_path / "claim"
    path.write_bytes(bytes(128) + b"DICM" + element)
    with pytest.raises(DamagedError, match=words):
        read_header(path, WANTED, ENTERED)


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "0x1", "", "1 2", "1,5", "--1", "1e9999"])
def test_texts_that_are_no_decimal_numbers_are_none(text: str) -> None:
    assert np.isnan(decimal(text))
    assert Elements({1: text.encode()}, {}).numbers(1, 1).tolist() == pytest.approx(
        [np.nan], nan_ok=True
    )
