"""Stages killed at random end as if they never were; see Testing/kills, which does it at length."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from Testing.kills.contents import damaged
from training import run
from training.workers import pool

ROOT = Path(__file__).resolve().parents[2]
POSIX = pytest.mark.skipif(os.name != "posix", reason="processes are forked and killed by signals")


@POSIX
def test_killed_stages_leave_no_half_file_and_end_with_the_same_numbers() -> None:
    flags = ["--kills", "6", "--seed", "0", "--stages", "screen", "prepare", "condition"]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "Testing" / "kills" / "run.py"), *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "6 kills, no fault"


def test_a_half_written_file_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seconds": 1')
    (tmp_path / "b.safetensors").write_bytes(b"half")
    (tmp_path / "c.csv").write_text("")
    (tmp_path / "metrics.jsonl").write_text('{"step": ')
    (tmp_path / ".screener-x").mkdir()
    (tmp_path / ".screener-x" / "d.json").write_text("{")
    assert [fault.partition(":")[0] for fault in damaged(tmp_path)] == [
        "a.json",
        "b.safetensors",
        "c.csv",
    ]


@pytest.mark.parametrize("stage", ["prepare", "evaluate"])
def test_ctrl_c_is_one_line_and_status_130(
    stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_preset: str | None, _arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(run.STAGES, stage, interrupted)
    assert run.main([stage]) == 130
    told = capsys.readouterr().err
    assert told.startswith("Stopped before the end.")
    assert told.count("\n") == 1


def stop_amid_work() -> None:
    with pool(1) as processes:
        assert processes.submit(int, "1").result(timeout=60) == 1
        processes.submit(time.sleep, 60)
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_processes_at_work_too() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stop_amid_work()
    assert time.monotonic() - began < 50
