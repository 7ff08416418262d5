"""The result folder: whole or not at all, and kept only while it answers the question."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctscreener.errors import InputError
from ctscreener.lock import held
from ctscreener.outputs import (
    RESULTS,
    SummaryRow,
    check_space,
    check_writable,
    publish,
    scan_names,
    summary_text,
)
from ctscreener.provenance import fingerprint, standing_record
from ctscreener.whole_file import whole_file

WANTED = {"software": {"version": "1"}, "model": {"name": "m"}, "parameters": {"overlap": 0.5}}


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content) and None


def fails(error: BaseException) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text("half")
        raise error

    return write


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_appear_together_in_a_folder_that_is_made(tmp_path: Path) -> None:
    publish(tmp_path / "a" / "b", {"one": text("1"), "two": text("2")})
    assert contents(tmp_path / "a" / "b") == {"one": "1", "two": "2"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_other_files_of_a_standing_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "one").write_text("old")
    publish(tmp_path, {"one": text("1"), "two": text("2")})
    assert contents(tmp_path) == {"mine": "mine", "one": "1", "two": "2"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "output.disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "output.unwritable"),
        (OSError(errno.EROFS, "Read-only file system"), "output.unwritable"),
    ],
)
@pytest.mark.parametrize("stands", [True, False])
def test_a_disk_that_refuses_leaves_what_was_there(
    tmp_path: Path, error: OSError, code: str, stands: bool
) -> None:
    out = tmp_path / "new" / "out"
    if stands:
        publish(out, {"one": text("old"), "two": text("old")})
    with pytest.raises(InputError) as refused:
        publish(out, {"one": text("1"), "two": fails(error)})
    assert refused.value.code == code
    assert "\n" not in str(refused.value)
    if stands:
        assert contents(out) == {"one": "old", "two": "old"}
    else:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("a fault")])
def test_whatever_stops_the_writing_leaves_nothing(tmp_path: Path, stop: BaseException) -> None:
    with pytest.raises(type(stop)):
        publish(tmp_path / "new" / "out", {"one": text("1"), "two": fails(stop)})
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_renaming_never_leaves_the_seal_over_mixed_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path / "out", {"one": text("old"), "two": text("old"), "seal": text("old")})
    moves = []

    def killed_at_the_second(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == 2:
            raise KeyboardInterrupt
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", killed_at_the_second)
    new = {"one": text("1"), "two": text("2"), "seal": text("3")}
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "out", new)
    assert contents(tmp_path / "out") == {"one": "1", "two": "old"}


@pytest.mark.parametrize("place", ["file", "file/out", "file/a/b"])
def test_a_place_that_cannot_be_a_folder_is_noticed(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError) as refused:
        check_writable(tmp_path / place)
    assert refused.value.code == "output.unwritable"


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="only Linux has a folder such as /proc"
)
def test_a_folder_that_nobody_may_write_is_noticed() -> None:
    with pytest.raises(InputError) as refused:
        check_writable(Path("/proc/out"))
    assert refused.value.code == "output.unwritable"


def test_looking_whether_a_place_can_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path)
    check_writable(Path("out"))
    assert list(tmp_path.iterdir()) == []


def test_a_map_larger_than_the_disk_is_refused_in_advance(tmp_path: Path) -> None:
    check_space(tmp_path / "out", 1)
    with pytest.raises(InputError) as refused:
        check_space(tmp_path / "out", 10**18)
    assert refused.value.code == "output.disk_full"


@given(
    st.lists(
        st.sampled_from(["a/ct.nrrd", "CT.nii.gz", "ct_2", "ct_2_2.mha", ".nii", ".a.nrrd", "/"])
    )
)
def test_no_two_scans_share_a_folder(paths: list[str]) -> None:
    names = scan_names([Path(path) for path in paths])
    assert len({name.casefold() for name in names}) == len(paths)
    assert all(name == Path(name).name and not name.startswith(".") for name in names)


def test_a_summary_keeps_one_line_a_scan() -> None:
    lines = summary_text([SummaryRow("a, b", status="failed", error='He said "no".')])
    assert lines.splitlines()[1] == '"a, b",,,,failed,"He said ""no""."'


def record_for(source: Path, folder: Path) -> None:
    folder.mkdir()
    record = {"provenance": {**WANTED, "input": fingerprint(source)}}
    (folder / "findings.json").write_text(json.dumps(record))


def test_a_result_stands_until_scan_model_or_parameters_change(tmp_path: Path) -> None:
    source, folder = tmp_path / "ct.nrrd", tmp_path / "out"
    source.write_bytes(b"voxels")
    assert standing_record(folder, source, WANTED) is None
    record_for(source, folder)
    assert standing_record(folder, source, WANTED)
    assert not standing_record(folder, source, {**WANTED, "parameters": {"overlap": 0.25}})
    assert not standing_record(folder, source, {**WANTED, "model": {"name": "other"}})
    source.write_bytes(b"Voxels")
    assert not standing_record(folder, source, WANTED)
    source.unlink()
    assert not standing_record(folder, source, WANTED)


def test_a_damaged_record_is_done_again(tmp_path: Path) -> None:
    source, folder = tmp_path / "ct.nrrd", tmp_path / "out"
    source.write_bytes(b"voxels")
    record_for(source, folder)
    for damaged in (b"", b"[]", b"{}", b"\xff\xfe"):
        (folder / "findings.json").write_bytes(damaged)
        assert standing_record(folder, source, WANTED) is None


def test_a_folder_of_slices_has_a_fingerprint_of_all_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    (folder / "1").write_bytes(b"one")
    (folder / "2").write_bytes(b"two")
    before = fingerprint(folder)
    assert before["bytes"] == 6
    assert fingerprint(folder) == before
    (folder / "2").rename(folder / "3")
    assert fingerprint(folder)["sha256"] != before["sha256"]


def test_the_fingerprint_of_a_file_is_what_sha256sum_prints(tmp_path: Path) -> None:
    (tmp_path / "ct").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint(tmp_path / "ct") == {"name": "ct", "bytes": 3, "sha256": digest}


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (
            "scan.mhd",
            (
                "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
                "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\n"
                "DimSize = 2 2 2\nElementType = MET_SHORT\nElementDataFile = scan.raw\n"
            ),
        ),
        (
            "scan.nhdr",
            (
                "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
                "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: little\n"
                "encoding: raw\ndata file: scan.raw\n\n"
            ),
        ),
    ],
)
def test_other_voxels_under_the_same_header_are_another_scan(
    tmp_path: Path, header: str, text: str
) -> None:
    source, folder = tmp_path / header, tmp_path / "out"
    source.write_text(text)
    (tmp_path / "scan.raw").write_bytes(bytes(16))
    record_for(source, folder)
    assert standing_record(folder, source, WANTED)
    (tmp_path / "scan.raw").write_bytes(bytes(15) + b"1")
    assert fingerprint(source)["name"] == header
    assert not standing_record(folder, source, WANTED)


@pytest.mark.parametrize("inside", [".", "out", "out/deep"])
def test_results_inside_a_scans_folder_are_no_part_of_the_scan(
    tmp_path: Path, inside: str
) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    (folder / "1").write_bytes(b"one")
    before = fingerprint(folder)
    with held(folder / inside):  # its lock stands beside a folder that is not there yet
        assert fingerprint(folder) == before
    publish(folder / inside, dict.fromkeys(RESULTS, text("written")))
    with held(folder / inside), whole_file(folder / "new"):
        assert fingerprint(folder) == before
        (next(folder.glob(".screener-*")) / "new").write_text("half")
        assert fingerprint(folder) == before
    assert fingerprint(folder) != before, "what is no result of ours is part of it"
