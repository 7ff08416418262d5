"""Streams of the command line: closed ones, readers that have gone, and what a program reads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ctscreener.screening
from Testing.engine.command_line import FILES, environment, run, scan_and_model, screen

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan and a model."""
    return scan_and_model(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("count", [1, 2])
def test_a_reader_that_has_gone_is_not_called_a_fault(
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    def unheard(*_arguments: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(ctscreener.screening, "screen", unheard)
    scans = [data / "scan.nrrd"] * count
    assert screen(data, tmp_path / "out", "--events", scans=scans) == 130
    assert "internal" not in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&-"])
def test_a_closed_stream_is_no_fault(data: Path, tmp_path: Path, closed: str) -> None:
    fixed = f"--out {tmp_path}/out --model {data}/model --device cpu"
    line = f"{sys.executable} -m ctscreener screen {data}/scan.nrrd {fixed} {closed}"
    ended = subprocess.run(["sh", "-c", line], capture_output=True, env=environment(), check=False)
    assert ended.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert b"100%" not in (tmp_path / "out" / "findings.csv").read_bytes()


def test_events_are_all_that_a_program_reads_on_stdout(data: Path, tmp_path: Path) -> None:
    fixed = ["--out", str(tmp_path / "out"), "--model", str(data / "model"), "--events"]
    ended = run("screen", str(data / "scan.nrrd"), "--device", "cpu", *fixed)
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {event["event"] for event in events[:-1]} == {"progress"}
    assert all({"stage", "done", "total"} < set(event) for event in events[:-1])
    assert events[-1]["event"] == "result"
    assert events[-1]["folder"] == str(tmp_path / "out")
    assert events[-1]["provenance"]["model"]["name"] == "model"


def test_stray_prints_do_not_reach_the_events(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(*arguments: object) -> object:
        print("from Python")
        os.write(1, b"from a library\n")
        return screen_as_before(*arguments)

    screen_as_before = ctscreener.screening.screen
    monkeypatch.setattr(ctscreener.screening, "screen", noisy)
    assert screen(data, tmp_path / "out", "--events") == 0
    printed = capfd.readouterr()
    assert all(json.loads(line) for line in printed.out.splitlines())
    assert "from Python" in printed.err
    assert "from a library" in printed.err


def test_json_is_all_that_is_printed_on_stdout(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(*arguments: object) -> object:
        os.write(1, b"from a library\n")
        return screen_as_before(*arguments)

    screen_as_before = ctscreener.screening.screen
    monkeypatch.setattr(ctscreener.screening, "screen", noisy)
    assert screen(data, tmp_path / "out", "--json") == 0
    printed = capfd.readouterr()
    (line,) = printed.out.splitlines()
    stored = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert json.loads(line) == stored | {
        "scan": "scan",
        "folder": str(tmp_path / "out"),
        "reused": False,
    }
    assert "from a library" in printed.err
    assert "100%" in printed.err
    assert screen(data, tmp_path / "both", "--json", "--events") == 2
