"""A job as the panel sees it: it never blocks, says where it is, and ends as one of three."""

import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import pytest

from ctscreener import command
from ctscreener.files import read_scan
from ctscreener.findings import FindingSettings, find
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.run import Command
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest, screen_job
from ScreenerSlicerLib.process.stub_worker import SYNTHETIC, synthetic_rarity
from Testing.slicer.processes import alive, pids_in, soon
from Testing.slicer.small_job import QUICK, ROOT, body, finish, hung, new_job

BLOCKED_AT_MOST = 0.05
NewJob = Callable[..., BackgroundJob[ScreenOutput]]


def test_a_job_ends_with_the_map_of_its_scan(tmp_path: Path) -> None:
    scan = body()
    job = new_job(scan, tmp_path, SCREENER_STUB=json.dumps({"notice": "smaller tiles"}))
    assert job.state == "ready"
    with pytest.raises(RuntimeError, match="ready"):
        job.output()
    job.start()
    job.start()
    assert job.state == "running"
    told = finish(job)
    assert job.state == "done"
    assert job.error is None
    fractions = [one.fraction for one in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {one.notice for one in told if one.stage == "writing"} == {"smaller tiles"}
    output = job.output()
    expected = synthetic_rarity(scan)
    assert output.rarity.dtype == np.float32
    np.testing.assert_array_equal(output.rarity, expected)
    found = find(expected, scan, FindingSettings(2.5, 0.01))
    assert len(found) == 2
    assert [one.peak_index for one in output.findings] == [one.peak_index for one in found]
    np.testing.assert_allclose(
        [one.peak_ras for one in output.findings], [one.peak_ras for one in found], atol=1e-4
    )
    assert output.provenance["synthetic"] is True
    assert output.provenance["model"]["name"] == SYNTHETIC
    assert list(tmp_path.iterdir()) == []
    job.cancel()
    assert job.state == "done"
    job.close()
    job.close()
    with pytest.raises(RuntimeError, match="no output"):
        job.output()


def test_an_error_of_the_engine_is_told_in_words_of_the_panel(tmp_path: Path) -> None:
    error = {"code": "device.memory", "message": "Too little.", "action": "Use --device cpu."}
    variables = {"QUICK_SHAPE": "[1, 1, 1]", "QUICK_ERROR": json.dumps(error)}
    job = new_job(body(), tmp_path, QUICK, **variables)
    job.start()
    finish(job)
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("device.memory", "Too little.")
    assert "--device" not in job.error.action
    assert any("device.memory" in line for line in job.log.lines())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="failed"):
        job.output()


def test_cancel_says_so_until_nothing_is_left(tmp_path: Path) -> None:
    one = hung(tmp_path, QUICK_STUBBORN="1")
    began = time.monotonic()
    one.job.cancel()
    assert one.job.state == "cancelling"
    finish(one.job)
    assert one.job.state == "cancelled"
    assert time.monotonic() - began < 2.5
    assert one.is_gone


def test_cancelled_before_its_start_a_job_never_starts(tmp_path: Path) -> None:
    job = new_job(body(), tmp_path)
    job.cancel()
    job.start()
    assert job.state == "cancelled"
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_nobody_holds_ends(tmp_path: Path) -> None:
    one = hung(tmp_path)
    left = replace(one, job=new_job(body(), one.folder))
    del one
    gc.collect()
    assert soon(lambda: left.is_gone, 4.0)


def test_an_application_that_ends_leaves_nothing(tmp_path: Path) -> None:
    folder, pids = tmp_path / "temporary", tmp_path / "pids"
    folder.mkdir()
    script = f"""
import os, sys, time
from pathlib import Path
import numpy as np
from ctscreener.scan import Scan
from ScreenerSlicerLib.process.screen_job import screen_job, ScreenRequest
scan = Scan(np.zeros((2, 2, 2), np.float32), np.eye(4))
job = screen_job(scan, ScreenRequest(), [sys.executable], Path({str(folder)!r}), worker={QUICK!r})
job.start()
while not os.path.exists({str(pids)!r}):
    time.sleep(0.01)
"""
    path = os.pathsep.join([str(ROOT), str(ROOT / "ScreenerSlicer")])
    variables = {"QUICK_HANG": "scoring", "QUICK_PIDS": str(pids)}
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
    assert not any(map(alive, pids_in(pids)))
    assert list(folder.iterdir()) == []


def test_closed_in_a_hurry_everything_is_gone_when_the_wait_is_over(tmp_path: Path) -> None:
    one = hung(tmp_path, "reading")
    one.job.close(wait_seconds=2.0)
    assert one.is_gone


def test_no_call_blocks_on_a_large_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = tuple(json.loads(os.environ.get("SCREENER_LARGE", "[60, 256, 256]")))
    scan = body(shape)
    variables = {"QUICK_SHAPE": json.dumps(shape)}
    job = new_job(scan, tmp_path, QUICK, **variables)
    walls, own, ticks = [], [], []

    def timed(call: Callable[[], object]) -> None:
        wall, thread = time.perf_counter(), time.thread_time()
        call()
        walls.append(time.perf_counter() - wall)
        own.append(time.thread_time() - thread)

    timed(job.start)
    while job.state == "running":
        began = time.perf_counter()
        timed(job.poll)
        time.sleep(0.001)
        ticks.append(time.perf_counter() - began)
    timed(job.output)
    timed(job.close)
    assert job.state == "done"
    usual, usual_tick = np.percentile(walls, 99), np.percentile(ticks, 99)
    with capsys.disabled():
        print(f"\n{shape}: {len(walls)} calls, longest {1000 * max(walls):.1f} ms, ", end="")
        print(
            f"99 in 100 below {1000 * usual:.2f} ms, own work {1000 * max(own):.1f} ms; ", end=""
        )
        print(f"between two of them at most {1000 * max(ticks):.0f} ms")
    # Another program may take the processor from a call: its own work is what a bound is on, and
    # for the wait for Python's lock, all calls and pauses but one in a hundred.
    assert max(own) < BLOCKED_AT_MOST
    assert max(usual, usual_tick) < BLOCKED_AT_MOST


def test_what_a_list_leaves_out_is_no_notice_of_the_run(tmp_path: Path) -> None:
    job = new_job(body(), tmp_path, most=1, SCREENER_STUB=json.dumps({"notice": "smaller tiles"}))
    job.start()
    told = finish(job)
    assert {one.notice for one in told if one.stage == "writing"} == {"smaller tiles"}
    output = job.output()
    assert (len(output.findings), output.beyond.total) == (1, 2)


def test_the_engine_understands_every_request(tmp_path: Path) -> None:
    region = (-1e-5, 100.25, -200.0, 0.0, -1234.5, 7.0)
    request = ScreenRequest(tmp_path, "cuda:1", 0.25, 3.5, 0.05, most=12, region=region)
    options = ["screen", "scan.nrrd", "--out", "result", *request.options()]
    read = command._parser().parse_args(options)
    assert read.region == pytest.approx(region, abs=1e-5)
    assert (read.overlap, read.threshold, read.min_volume, read.most) == (0.25, 3.5, 0.05, 12)
    assert request.findings == FindingSettings(3.5, 0.05, 12)
    assert (read.model, read.device) == (str(tmp_path), "cuda:1")
    assert "--region" not in ScreenRequest().options()


@pytest.mark.slow
def test_the_bundled_model_screens_the_sample(tmp_path: Path) -> None:
    scan = read_scan(ROOT / "Resources" / "sample_phantom.nrrd")
    request = ScreenRequest(overlap=0.0, threshold=2.0)
    job = screen_job(scan, request, [sys.executable], tmp_path, log_folder=tmp_path / "logs")
    job.start()
    assert soon(lambda: job.poll() is None and job.state != "running", 1500)
    assert job.state == "done", str(job.error)
    output = job.output()
    assert output.rarity.shape == scan.shape
    assert np.isfinite(output.rarity).mean() > 0.2
    assert output.provenance["model"]["name"] == "preview"
    again = find(output.rarity, scan, FindingSettings(2.0, 0.1))
    assert [one.peak_index for one in again] == [one.peak_index for one in output.findings]
    assert job.seconds_a_tile is not None
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    (log,) = (tmp_path / "logs").iterdir()
    assert json.loads(log.read_text().splitlines()[-1])["stage"] == "taking over"


@final
class ManySmallTurns:
    """Work of a thread that takes Python's lock again and again, until it is stopped."""

    bytes_needed = 0.0

    def __init__(self) -> None:
        self.turns = 0

    def write(self, folder: Path, check: Callable[[], None]) -> None:
        """Go on until it is stopped."""
        while True:
            check()
            time.sleep(0)
            self.turns += 1

    def read(self, folder: Path, record: object, check: object) -> None:
        """Never get so far."""
        raise AssertionError("there is no child")


@pytest.mark.skipif(sys.platform == "win32", reason="usleep is one of Unix")
def test_every_poll_lets_the_threads_of_a_job_run(tmp_path: Path) -> None:
    """Slicer's event loop keeps Python's lock between two calls of a timer, as `PyDLL` does."""
    sleep = ctypes.PyDLL(None).usleep
    work = ManySmallTurns()
    job = BackgroundJob(work, Command((sys.executable,), QUICK), tmp_path)
    job.start()
    polls = 20
    for _ in range(polls):
        sleep(5000)
        job.poll()
    job.close(5)
    assert work.turns > 50 * polls
