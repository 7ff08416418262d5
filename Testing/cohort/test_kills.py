"""Worker, scheduler and client are killed, and nothing is lost; the long run is in Testing/kills."""

import os
import shutil
from pathlib import Path

import pytest

from Testing.kills.cohort import compared, kill_cohort


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by a signal")
def test_a_cohort_survives_kills_of_worker_scheduler_and_client(tmp_path: Path) -> None:
    faults, killed, _ = kill_cohort(tmp_path, scans=16, kills=3, seed=0)
    assert faults == []
    assert killed == {"worker": 1, "scheduler": 1, "client": 1}

    # The comparison itself must be able to fail.
    findings = tmp_path / "killed" / "runs" / "model" / "scans" / "s003" / "findings.csv"
    findings.write_text(findings.read_text() + " ")
    shutil.rmtree(findings.parent.parent / "s004")
    named = [
        fault.rpartition("/")[0].rpartition("/")[2]
        for fault in compared(tmp_path / "quiet", tmp_path / "killed")
    ]
    assert set(named) == {"s003", "s004"}
