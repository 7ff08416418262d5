"""A real process, killed without warning and started again, ends as one that never was."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from Testing.training.small_store import make_store

ROOT = Path(__file__).resolve().parents[2]
STEPS = 24


def started(store: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start a training of the condition, which draws crops, jitter and masks."""
    flags = ["--preset", "tiny", "--store", str(store), "--run", str(out), "--device", "cpu"]
    flags += ["--steps", str(STEPS), "--warmup", "2", "--log-every", "1", "--workers", "2"]
    flags += ["--checkpoint-seconds", "0.2", "--precision", "32-true"]
    flags += ["--crops.size", "8", "12", "12", "--crops.positions", "64", "--crops.pairs", "2"]
    flags += ["--network.channels", "8", "16", "--contrast.width", "16"]
    places = os.pathsep.join([str(ROOT), str(ROOT / "ScreenerSlicer")])
    return subprocess.Popen(
        [sys.executable, str(ROOT / "training" / "run.py"), "condition", *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
    )


def rows(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def kill_after(process: subprocess.Popen[bytes], run: Path, lines: int) -> None:
    """Kill a training once it has written so many metrics, wherever it is by then."""
    path = run / "metrics.jsonl"
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= lines:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.005)


def test_killed_twice_it_has_the_numbers_of_a_training_that_was_not(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"a": (24, 30, 30), "b": (20, 30, 36)})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert started(tmp_path / "store", whole).wait(timeout=300) == 0
    killed = 0
    for lines in (5, 15):
        process = started(tmp_path / "store", broken)
        kill_after(process, broken, lines)
        killed += process.returncode == -signal.SIGKILL
    assert killed == 2
    assert not (broken / "result.json").exists()
    assert started(tmp_path / "store", broken).wait(timeout=300) == 0
    assert len(rows(whole)) == STEPS
    assert rows(broken) == rows(whole)
    for name in ("network.safetensors", "checkpoint.safetensors"):
        one, other = load_file(whole / name), load_file(broken / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert (broken / "leak.json").read_text() == (whole / "leak.json").read_text()
