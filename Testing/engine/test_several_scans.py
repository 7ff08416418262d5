"""Several scans in one call: one that fails does not stop the others."""

import csv
import json
import os
import shutil
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import ctscreener.files
import ctscreener.screening
from ctscreener.lock import held
from ctscreener.reading import serve
from Testing.engine.command_line import FILES, scan_and_model, screen, threshold_of_many

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan and a model."""
    return scan_and_model(tmp_path_factory.mktemp("data"))


def test_one_bad_scan_does_not_stop_the_rest_and_a_second_run_continues(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.nrrd"
    bad.write_bytes(b"no scan")
    scans = [data / "scan.nrrd", bad, data / "scan.nrrd"]
    out = tmp_path / "out"
    assert screen(data, out, scans=scans) == 2
    first = capfd.readouterr().err
    assert sum("ctscreener: bad:" in line for line in first.splitlines()) == 1
    assert sorted(path.name for path in out.iterdir()) == ["scan", "scan_2", "summary.csv"]
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["error"]

    before = (out / "scan" / "findings.json").stat().st_mtime_ns
    assert screen(data, out, scans=scans) == 2
    assert (out / "scan" / "findings.json").stat().st_mtime_ns == before
    assert list(csv.DictReader((out / "summary.csv").open())) == rows
    # Another limit is another question; the summary counts what is not listed, too.
    many = ["--threshold", threshold_of_many(out / "scan"), "--min-volume", "0", "--most", "1"]
    assert screen(data, out, *many, scans=scans) == 2
    assert (out / "scan" / "findings.json").stat().st_mtime_ns != before
    record = json.loads((out / "scan" / "findings.json").read_text())
    first, *_ = csv.DictReader((out / "summary.csv").open())
    assert int(first["findings"]) == record["found"] > len(record["findings"]) == 1
    before = (out / "scan" / "findings.json").stat().st_mtime_ns
    assert screen(data, out, *many[:-1], "2", scans=scans) == 2
    assert (out / "scan" / "findings.json").stat().st_mtime_ns != before


def test_a_fault_in_one_of_several_scans_is_reported_and_the_next_is_done(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def broken_once(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return screen_as_before(*arguments)

    screen_as_before = ctscreener.screening.screen
    monkeypatch.setattr(ctscreener.screening, "screen", broken_once)
    assert screen(data, tmp_path, scans=[data / "scan.nrrd"] * 2) == 1
    rows = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "ZeroDivisionError" in capfd.readouterr().err


def serve_until_killed(pipe: Connection) -> None:
    """Read as ever, but for files that crash their reader."""
    number = {"crash": signal.SIGSEGV, "memory": signal.SIGKILL}
    before = ctscreener.files.read_scan

    def read(path: Path, series: str | None) -> object:
        if path.stem in number:
            os.kill(os.getpid(), number[path.stem])
        return before(path, series)

    ctscreener.files.read_scan = read  # pyright: ignore[reportAttributeAccessIssue]
    serve(pipe)


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_scans_that_crash_their_reader_are_named_and_all_others_screened(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ctscreener.reading.serve", serve_until_killed)
    bad = [tmp_path / f"{name}.nrrd" for name in ("crash", "memory")]
    for path in bad:
        shutil.copy(data / "scan.nrrd", path)
    out = tmp_path / "out"
    assert screen(data, out, scans=[*bad, data / "scan.nrrd"]) == 2
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["failed"] * 2 + ["done"]
    said = capfd.readouterr().err
    for row, words in zip(rows, ("SIGSEGV", "memory runs out"), strict=False):
        assert f"{row['scan']}.nrrd" in row["error"]
        assert words in row["error"]
        assert words in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf_8_are_read_and_written(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scan = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.nrrd"))
    shutil.copy(data / "scan.nrrd", scan)
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Th\xf6rax"))
    assert screen(data, out, scans=[scan, data / "scan.nrrd"]) == 0
    assert "M\\xfcller" in capfd.readouterr().out
    rows = list(csv.DictReader((out / "summary.csv").open(encoding="utf-8")))
    assert [(row["scan"], row["status"]) for row in rows] == [
        ("M\\xfcller", "done"),
        ("scan", "done"),
    ]
    assert sorted(path.name for path in (out / "scan").iterdir()) == FILES


def test_a_second_run_on_one_folder_is_told_so_and_changes_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert screen(data, out, scans=[data / "scan.nrrd"] * 2) == 0
    before = (out / "summary.csv").read_bytes()
    with held(out):
        assert screen(data, out, scans=[data / "scan.nrrd"] * 2) == 2
    assert "output.busy" in capfd.readouterr().err
    assert (out / "summary.csv").read_bytes() == before
