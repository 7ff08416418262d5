import gzip
from pathlib import Path

import numpy as np
import pytest

from ctscreener.files import files_of
from ctscreener.scan import Scan
from Testing.engine.stored_files import (
    Fields,
    int16,
    lps_columns,
    nrrd_header,
    numbers,
    read_as,
    refused,
)

FLAT = "scan.not_3d"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "A" * 5000},
        {"type": "uchar"},
        {"type": None},
        {"endian": None},
        {"endian": "middle"},
        {"encoding": "bzip2"},
        {"encoding": None},
        {"encoding": "gzip"},
        {"dimension": "17"},
        {"dimension": "2"},
        {"sizes": "16 18"},
        {"sizes": "16 18 -20"},
        {"sizes": "1500 1500 1500"},
        {"sizes": "16 18 19"},
        {"kinds": "domain domain"},
        {"space directions": "(1,0,0) (0,1,0)"},
        {"space directions": "(1,0,0) (0,1,0) (0,0,1"},
        {"space directions": "(1,0,0) (0,1,0) (0,0)"},
        {"space origin": "(-11x.9,0,0)"},
        {"byte skip": "-2"},
        {"spaec": "left-posterior-superior"},
        {"SIZES": "16 18 20"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_header_that_contradicts_itself_is_refused(
    tmp_path: Path, body: Scan, changes: Fields
) -> None:
    (tmp_path / "a.nrrd").write_bytes(nrrd_header(body, changes) + int16(body))
    refused(tmp_path / "a.nrrd", "scan.unreadable", "a.nrrd")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"space": None}, "scan.orientation"),
        ({"space": "scanner-xyz"}, "scan.orientation"),
        ({"space directions": None}, "scan.orientation"),
        ({"space directions": "(1,0,0) none (0,0,1)"}, "scan.orientation"),
        ({"space origin": None}, "scan.orientation"),
        ({"space origin": "none"}, "scan.orientation"),
        ({"space units": '"cm" "cm" "cm"'}, "scan.spacing"),
        ({"kinds": "domain domain RGB-color"}, "scan.not_scalar"),
        ({"dimension": "2", "sizes": "16 360", "kinds": None, "space directions": None}, FLAT),
    ],
    ids=str,
)
def test_nothing_that_places_the_voxels_is_made_up(
    tmp_path: Path, body: Scan, changes: Fields, code: str
) -> None:
    (tmp_path / "a.nrrd").write_bytes(nrrd_header(body, changes) + int16(body))
    refused(tmp_path / "a.nrrd", code, "a.nrrd")


@pytest.mark.parametrize("space", ["RAS", "left-anterior-superior", "LPS"])
def test_every_space_that_is_read_means_the_same_place(
    tmp_path: Path, body: Scan, space: str
) -> None:
    turn = {"RAS": [-1, -1, 1], "left-anterior-superior": [1, -1, 1], "LPS": [1, 1, 1]}[space]
    axes, origin = (np.array(turn) * part.T for part in lps_columns(body.affine))
    changes = {
        "space": space,
        "space directions": "  ".join(f"( {numbers(axis, ' , ')} )" for axis in axes),
        "space origin": f"({numbers(origin, ',')})",
        "space units": '"mm" "mm" ""',
    }
    (tmp_path / "a.nrrd").write_bytes(nrrd_header(body, changes) + int16(body))
    read_as(tmp_path / "a.nrrd", body)


def test_pairs_comments_swapped_bytes_and_windows_lines_are_read(
    tmp_path: Path, body: Scan
) -> None:
    header = nrrd_header(body, {"endian": "big", "content": "a: b"}, "int16")
    header = header.replace(b"kinds", b"DICOM_0008:=a: b\r\n#\x1b\r\nkinds").replace(
        b"\n", b"\r\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header + body.hu.astype(">i2").tobytes())
    read_as(tmp_path / "a.nrrd", body)


def test_an_axis_of_one_value_without_direction_is_no_obstacle(tmp_path: Path, body: Scan) -> None:
    plain = nrrd_header(body).decode()
    header = (
        plain.replace("dimension: 3", "dimension: 4")
        .replace("sizes: ", "sizes: 1 ")
        .replace("directions: ", "directions: none ")
        .replace("kinds: ", "kinds: list ")
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + int16(body))
    read_as(tmp_path / "a.nrrd", body)
    more = header.replace("sizes: 1 ", "sizes: 2 ").encode()
    (tmp_path / "a.nrrd").write_bytes(more + 2 * int16(body))
    refused(tmp_path / "a.nrrd", "scan.not_3d")


@pytest.mark.parametrize(
    ("changes", "before", "packed"),
    [
        ({"byte skip": "3"}, b"abc", False),
        ({"byte skip": "-1"}, b"abc", False),
        ({"line skip": "2"}, b"a\nb\n", False),
        ({"line skip": "1", "byte skip": "1"}, b"a\nb", False),
        ({"byte skip": "3", "encoding": "gz"}, b"abc", True),
        ({"encoding": "gzip"}, b"", True),
    ],
    ids=str,
)
def test_what_stands_before_the_voxels_is_skipped(
    tmp_path: Path, body: Scan, changes: Fields, before: bytes, packed: bool
) -> None:
    data = before + int16(body)
    (tmp_path / "a.raw").write_bytes(gzip.compress(data) if packed else data)
    path = tmp_path / "a.nhdr"
    path.write_bytes(nrrd_header(body, {**changes, "data file": "a.raw"}))
    read_as(path, body)
    assert files_of(path) == [path, tmp_path / "a.raw"]
    (tmp_path / "a.raw").unlink()
    refused(path, "scan.data_missing", "a.nhdr", "'a.raw'")


@pytest.mark.parametrize("value", ["LIST", "LIST 2", "s%02d.raw 3 22 1", "s%02d.raw 3 22 1 2"])
def test_slices_in_files_of_their_own_are_put_in_order(
    tmp_path: Path, body: Scan, value: str
) -> None:
    names = [f"s{index:02}.raw" for index in range(3, 23)]
    for name, values in zip(names, body.hu, strict=True):
        (tmp_path / name).write_bytes(values.astype("<i2").tobytes())
    header = nrrd_header(body, {"data file": value}).rstrip(b"\n") + b"\n"
    if value.startswith("LIST"):
        header += "\n".join(names).encode()
    (tmp_path / "a.nhdr").write_bytes(header)
    read_as(tmp_path / "a.nhdr", body)
    (tmp_path / "a.nhdr").write_bytes(header.replace(b"s22.raw", b"").replace(b" 22 ", b" 21 "))
    refused(tmp_path / "a.nhdr", "scan.unreadable", "20 data files")


def test_a_header_without_end_is_not_searched_for_ever(tmp_path: Path, body: Scan) -> None:
    endless = nrrd_header(body).rstrip(b"\n") + b"\n# comment" * (1 << 18)
    (tmp_path / "a.nrrd").write_bytes(endless)
    refused(tmp_path / "a.nrrd", "scan.unreadable", "no end")


def test_the_header_is_not_taken_for_voxels(tmp_path: Path, body: Scan) -> None:
    header = nrrd_header(body, {"byte skip": "-1"})
    (tmp_path / "a.nrrd").write_bytes(header + b"abc" + int16(body))
    read_as(tmp_path / "a.nrrd", body)
    (tmp_path / "a.nrrd").write_bytes(header + int16(body)[:-2])
    refused(tmp_path / "a.nrrd", "scan.unreadable", "bytes of voxels")
