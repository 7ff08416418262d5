"""Scans in temporary folders of a Slicer that was killed: gone at the next start."""

import subprocess
import sys
from pathlib import Path

import ctscreener
from ctscreener import owner
from ScreenerSlicerLib.process.run import PREFIX, clear_left_behind
from Testing.slicer.small_job import body, finish, new_job

MARK = "from ctscreener.owner import mark; print(mark())"


def folder_of_a_killed_slicer(folder: Path) -> Path:
    """A run's folder whose process has ended, with a scan in it."""
    place = str(Path(ctscreener.__file__).parent.parent)
    told = subprocess.run(
        [sys.executable, "-c", MARK], capture_output=True, text=True, check=True, cwd=place
    )
    left = folder / f"{PREFIX}{told.stdout.strip()}-abc"
    left.mkdir(parents=True)
    (left / "scan.nrrd").write_bytes(b"a patient")
    return left


def test_only_folders_of_processes_that_have_ended_are_removed(tmp_path: Path) -> None:
    left = folder_of_a_killed_slicer(tmp_path)
    kept = [
        tmp_path / f"{PREFIX}{owner.mark()}-abc",
        tmp_path / f"{PREFIX}abcd",
        tmp_path / "mine",
    ]
    for folder in kept:
        folder.mkdir()
    clear_left_behind(tmp_path)
    assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_run_removes_them_before_it_begins(tmp_path: Path) -> None:
    folder_of_a_killed_slicer(tmp_path)
    job = new_job(body(), tmp_path)
    job.start()
    finish(job)
    assert job.state == "done"
    assert list(tmp_path.iterdir()) == []
