"""A run from beginning to end: whatever stops it, no process and no file is left."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ScreenerSlicerLib.process import run as run_module
from ScreenerSlicerLib.process import screen_job
from ScreenerSlicerLib.process.run import Cancelled, Command, Failed, Run
from ScreenerSlicerLib.process.run_log import RunLog
from ScreenerSlicerLib.process.screen_job import (
    ScreenOutput,
    ScreenRequest,
    ScreenWork,
    arguments,
)
from ScreenerSlicerLib.process.timeline import WEIGHTS
from Testing.slicer.processes import alive, pids_in, soon
from Testing.slicer.quick_worker import STAGES

ROOT = str(Path(__file__).parents[2])
ENDS_WITHIN = 2.0

Hear = Callable[[dict[str, Any]], None]


@pytest.fixture
def scan() -> Scan:
    hu = np.arange(18 * 20 * 22, dtype=np.int16).reshape(18, 20, 22)
    return Scan(hu, np.array([[0, 0, -2, 5], [0, -2, 0, 6], [3.0, 0, 0, 7], [0, 0, 0, 1]]))


def quick(
    scan: Scan, folder: Path, hear: Hear = lambda _: None, **variables: str
) -> Run[ScreenOutput]:
    """A run of the quick worker, with its temporary folder in `folder`."""
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "PYTHONPATH": ROOT,
        "QUICK_SHAPE": json.dumps(scan.shape),
        **variables,
    }
    python = (sys.executable, "-S")
    command = Command(python, "Testing.slicer.quick_worker", environment=environment)
    return Run(ScreenWork(scan), command, folder, hear, RunLog())


def test_a_run_returns_the_map_and_leaves_nothing(scan: Scan, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    run = quick(scan, tmp_path, heard.append)
    output = run()
    assert output.rarity.shape == scan.shape
    assert (output.findings, output.provenance) == ([], {"model": {}})
    stages = [event["stage"] for event in heard if event["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == list(WEIGHTS)
    assert run.ended.is_set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", list(WEIGHTS))
def test_cancelled_in_any_stage_nothing_is_left(stage: str, scan: Scan, tmp_path: Path) -> None:
    began = 0.0
    pids: list[int] = []

    def stop_there(event: dict[str, Any]) -> None:
        nonlocal began
        if event.get("stage") == stage and not began:
            began = time.monotonic()
            run.stop()

    folder = tmp_path / "temporary"
    folder.mkdir()
    hang = stage if stage in STAGES else ""
    run = quick(scan, folder, stop_there, QUICK_HANG=hang, QUICK_PIDS=str(tmp_path / "pids"))
    with pytest.raises(Cancelled):
        run()
    assert time.monotonic() - began < ENDS_WITHIN
    assert list(folder.iterdir()) == []
    if hang:
        pids = pids_in(tmp_path / "pids")
        assert soon(lambda: not any(map(alive, pids)), ENDS_WITHIN)


def test_a_child_that_will_not_end_is_killed(scan: Scan, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()

    def stop_there(event: dict[str, Any]) -> None:
        if event.get("stage") == "scoring":
            run.stop()

    variables = {"QUICK_HANG": "scoring", "QUICK_STUBBORN": "1"}
    run = quick(scan, folder, stop_there, QUICK_PIDS=str(tmp_path / "pids"), **variables)
    with pytest.raises(Cancelled):
        run()
    assert not any(map(alive, pids_in(tmp_path / "pids")))
    assert list(folder.iterdir()) == []


def test_a_child_that_is_killed_leaves_nothing_and_a_reason(scan: Scan, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()

    def kill_there(event: dict[str, Any]) -> None:
        if event.get("stage") == "scoring":
            os.kill(pids_in(tmp_path / "pids")[0], signal.SIGKILL)

    pids = str(tmp_path / "pids")
    run = quick(scan, folder, kill_there, QUICK_HANG="scoring", QUICK_PIDS=pids)
    with pytest.raises(Failed) as failed:
        run()
    assert failed.value.error.code == "process.killed"
    assert soon(lambda: not any(map(alive, pids_in(tmp_path / "pids"))), ENDS_WITHIN)
    assert list(folder.iterdir()) == []


def test_a_disk_that_is_full_while_writing_is_told(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = screen_job.write_scan
    monkeypatch.setattr(screen_job, "write_scan", lambda _, *rest: write(Path("/dev/full"), *rest))
    with pytest.raises(Failed) as failed:
        quick(scan, tmp_path)()
    assert failed.value.error.code == "output.disk_full"
    assert "Free some space" in failed.value.error.action
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_too_little_room_is_noticed_before(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_: Path) -> tuple[int, int, int]:
        return run_module.shutil._ntuple_diskusage(100, 90, 10)  # pyright: ignore

    monkeypatch.setattr(run_module.shutil, "disk_usage", usage)
    with pytest.raises(Failed, match="found 0 MB"):
        quick(scan, tmp_path)()
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_not_there_is_told(scan: Scan, tmp_path: Path) -> None:
    command = Command((str(tmp_path / "no python"),), "ctscreener")
    folder = tmp_path / "temporary"
    folder.mkdir()
    with pytest.raises(Failed, match="No such file"):
        Run(ScreenWork(scan), command, folder, lambda _: None, RunLog())()
    assert list(folder.iterdir()) == []


def test_a_crash_after_the_result_takes_nothing_away(scan: Scan, tmp_path: Path) -> None:
    assert quick(scan, tmp_path, QUICK_STATUS="1")().rarity.shape == scan.shape


def test_a_map_of_another_scan_is_refused(scan: Scan, tmp_path: Path) -> None:
    with pytest.raises(Failed) as failed:
        quick(scan, tmp_path, QUICK_SHAPE="[18, 20, 21]")()
    assert failed.value.error.code == "result.unreadable"
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_ours_leaves_nothing_either(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(screen_job, "read_map", broken)
    with pytest.raises(ZeroDivisionError):
        quick(scan, tmp_path)()
    assert list(tmp_path.iterdir()) == []


def test_findings_of_another_version_are_refused() -> None:
    with pytest.raises(TypeError):
        screen_job.finding_of({"rank": 1, "colour": "red"})


def test_the_engine_is_found_and_reads_utf8(scan: Scan) -> None:
    job = screen_job.screen_job(
        scan, ScreenRequest(overlap=0.0), ["python"], environment={"PYTHONPATH": "/else"}
    )
    command = job._run._command
    variables = command.variables()
    first, second = variables["PYTHONPATH"].split(os.pathsep)
    assert (Path(first) / "ctscreener" / "command.py").is_file()
    assert second == "/else"
    assert variables["PYTHONUTF8"] == "1"
    assert command.line()[:4] == ["python", "-m", "ctscreener", "screen"]
    assert "--overlap 0 " in " ".join(command.line())


@pytest.mark.parametrize("value", [0.5, 3.0, 100.0, -1e-5, 1e-3, 123456.5, -0.0])
def test_numbers_are_written_so_that_the_engine_reads_them(value: float) -> None:
    (_, word) = arguments({"--region": value})
    assert "e" not in word
    assert float(word) == pytest.approx(value, abs=1e-5)


def test_an_engine_error_that_is_no_input_error_is_not_hidden(scan: Scan, tmp_path: Path) -> None:
    run = quick(scan, tmp_path, QUICK_SHAPE="no JSON")
    with pytest.raises(Failed) as failed:
        run()
    assert failed.value.error.code == "process.ended"
    assert not isinstance(failed.value, InputError)
