import zlib
from pathlib import Path

import pytest

from ctscreener.files import files_of
from ctscreener.scan import Scan
from Testing.engine.stored_files import Fields, int16, meta_header, read_as, refused


@pytest.mark.parametrize(
    "changes",
    [
        {"CompressedData": "no"},
        {"BinaryData": None},
        {"BinaryData": "False"},
        {"NDims": "65"},
        {"NDims": "-1"},
        {"NDims": "3 3"},
        {"DimSize": "16 18"},
        {"DimSize": "16 18 0"},
        {"DimSize": "1500 1500 1500"},
        {"DimSize": "16 18 19"},
        {"DimSize": "16 18 20.0"},
        {"ElementType": "MET_WORD"},
        {"ElementType": "MET_UCHAR"},
        {"ElementDataFile": None},
        {"ElementSpacing": "1 1x 2"},
        {"Offset": "-11x.9 0 0"},
        {"Offset": "0 0"},
        {"ObjectType": "Mesh"},
        {"ElementToIntensityFunctionSlope": "2"},
        {"Position": "1 2 3"},
        {"HeaderSize": "10"},
        {"no field": "\0"},
    ],
    ids=str,
)
def test_a_header_that_contradicts_itself_is_refused(
    tmp_path: Path, body: Scan, changes: Fields
) -> None:
    (tmp_path / "a.mha").write_bytes(meta_header(body, changes) + int16(body))
    refused(tmp_path / "a.mha", "scan.unreadable", "a.mha")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ElementSpacing": None}, "scan.spacing"),
        ({"ElementSpacing": "0 1 1"}, "scan.spacing"),
        ({"ElementSpacing": "-1 1 1"}, "scan.spacing"),
        ({"DistanceUnits": "cm"}, "scan.spacing"),
        ({"TransformMatrix": None}, "scan.orientation"),
        ({"TransformMatrix": "2 0 0 0 2 0 0 0 2"}, "scan.orientation"),
        ({"TransformMatrix": "0 0 0 0 1 0 0 0 1"}, "scan.orientation"),
        ({"Offset": None}, "scan.orientation"),
        ({"ElementNumberOfChannels": "3"}, "scan.not_scalar"),
        ({"NDims": "2", "DimSize": "16 360"}, "scan.not_3d"),
    ],
    ids=str,
)
def test_nothing_that_places_the_voxels_is_made_up(
    tmp_path: Path, body: Scan, changes: Fields, code: str
) -> None:
    (tmp_path / "a.mha").write_bytes(meta_header(body, changes) + int16(body))
    refused(tmp_path / "a.mha", code, "a.mha")


def test_header_lines_may_end_as_on_windows_and_bytes_be_swapped(
    tmp_path: Path, body: Scan
) -> None:
    header = meta_header(body, {"BinaryDataByteOrderMSB": "True", "Comment": ""})
    data = body.hu.astype(">i2").tobytes()
    (tmp_path / "a.mha").write_bytes(header.replace(b"\n", b"\r\n") + data)
    read_as(tmp_path / "a.mha", body)


def test_a_long_has_four_bytes(tmp_path: Path, body: Scan) -> None:
    header = meta_header(body, kind="MET_LONG")
    (tmp_path / "a.mha").write_bytes(header + body.hu.astype("<i4").tobytes())
    read_as(tmp_path / "a.mha", body)


def test_packed_voxels_are_read_whole_or_not_at_all(tmp_path: Path, body: Scan) -> None:
    packed = zlib.compress(int16(body))
    path = tmp_path / "a.mha"

    def write(data: bytes, size: int | None) -> Path:
        fields = {"CompressedData": "True", "CompressedDataSize": size and str(size)}
        path.write_bytes(meta_header(body, fields) + data)
        return path

    read_as(write(packed, len(packed)), body)
    read_as(write(packed, None), body)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 1
    for data, size in (
        (bytes(flipped), len(packed)),
        (packed, len(packed) - 1),
        (packed[:-1], len(packed) - 1),
        (packed + b"x", None),
        (zlib.compress(int16(body)[:-2]), None),
        (zlib.compress(int16(body) + bytes(1 << 24)), None),
    ):
        refused(write(data, size), "scan.unreadable", "a.mha")


def test_the_data_file_is_found_and_its_absence_told(tmp_path: Path, body: Scan) -> None:
    path = tmp_path / "a.mhd"
    path.write_bytes(meta_header(body, {"ElementDataFile": "b c.raw", "HeaderSize": "7"}))
    refused(path, "scan.data_missing", "a.mhd", "'b c.raw'")
    (tmp_path / "b c.raw").write_bytes(b"preface" + int16(body))
    read_as(path, body)
    assert files_of(path) == [path, tmp_path / "b c.raw"]
    path.write_bytes(meta_header(body, {"ElementDataFile": "b c.raw", "HeaderSize": "-1"}))
    read_as(path, body)
    path.write_bytes(meta_header(body, {"ElementDataFile": "/dev/zero"}))
    refused(path, "scan.data_missing", "zero")
    path.write_bytes(meta_header(body, {"ElementDataFile": "x" * 5000}))
    refused(path, "scan.data_missing", "x...")
    # Only the word alone means the header's own file.
    path.write_bytes(meta_header(body, {"ElementDataFile": "LOCAL x"}) + int16(body))
    refused(path, "scan.data_missing", "'LOCAL x'")


@pytest.mark.parametrize("value", ["s%02d.raw 3 22", "s%02d.raw 22 3 -1", "LIST", "LIST 2"])
def test_slices_in_files_of_their_own_are_put_in_order(
    tmp_path: Path, body: Scan, value: str
) -> None:
    names = [f"s{index:02}.raw" for index in range(3, 23)]
    backwards = value.endswith("-1")
    for name, values in zip(names, body.hu[::-1] if backwards else body.hu, strict=True):
        (tmp_path / name).write_bytes(values.astype("<i2").tobytes())
    header = meta_header(body, {"ElementDataFile": value})
    listing = "\n".join(names) if value.startswith("LIST") else ""
    (tmp_path / "a.mhd").write_bytes(header + listing.encode())
    read_as(tmp_path / "a.mhd", body)
    assert len(files_of(tmp_path / "a.mhd")) == 21
    shorter = header.replace(b" 22", b" 21") + listing[:-8].encode()
    (tmp_path / "a.mhd").write_bytes(shorter)
    refused(tmp_path / "a.mhd", "scan.unreadable", "20 data files")


def test_a_name_that_is_no_utf_8_is_read(tmp_path: Path, body: Scan) -> None:
    header = meta_header(body, {"ElementDataFile": "M?ller.raw"}).replace(b"M?", b"M\xfc")
    path = Path(f"{tmp_path}/M\udcfcller.mhd")
    path.write_bytes(header)
    refused(path, "scan.data_missing")
    Path(f"{tmp_path}/M\udcfcller.raw").write_bytes(int16(body))
    read_as(path, body)
