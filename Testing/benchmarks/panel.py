"""Benchmark: for how long the window stands still during a run, and when a slider is moved.

    python Testing/benchmarks/panel.py [--shape 300 512 512] [--worker MODULE]
                                       [--hold-gil] [--rounds 3]

A timer of 5 ms runs in the test host beside the module; the longest time between two of its calls
is how long a user could not click. With `--hold-gil` the host keeps Python's lock while it waits,
as Slicer does, and the timer comes every 100 ms, for each of its calls lets threads run. It is
told for the whole run with the stub for its engine (the
window does the same work whatever the child does), for the moment in which the result is taken,
and for each move of a slider. The aim is 50 ms during a run, on a machine that does nothing else.
Where others work on the machine too, compare with the time while idle, and look at the column of
the window's own work: processor time of the main thread, which waiting for others does not lengthen.

Each round also runs the worker alone, on a file and with the same options, and at the end a run is
cancelled. The ratio of both times is what the module adds, on a busy machine too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]

import numpy as np
from PySide6 import QtCore

from ScreenerSlicerLib.process.job_maker import ENGINE, STUB
from ScreenerSlicerLib.process.nrrd_file import write_scan
from ScreenerSlicerLib.process.run import Command
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.scene.volume import shared_scan_of
from Testing.host.application import Application
from Testing.module.opened import Opened
from training.page.written import markdown

TICK_MS = 5
HELD_TICK_MS = 100
AIM_MS = 50.0


@final
@dataclass
class Watch:
    """Notes how long a timer had to wait, under the name of what was going on.

    Arguments:
        every: Milliseconds from one call of the timer to the next.
        now: What is going on.
        waits: How much later than that a call came, in milliseconds, by what was going on then.
        works: Milliseconds that the main thread itself worked between them.
    """

    every: int = TICK_MS
    now: str = "idle"
    waits: dict[str, list[float]] = field(default_factory=dict)
    works: dict[str, list[float]] = field(default_factory=dict)
    last: float = 0.0
    worked: float = 0.0

    def start(self) -> QtCore.QTimer:
        """Start the timer; keep what is returned."""
        self.last, self.worked = time.perf_counter(), time.thread_time()
        timer = QtCore.QTimer()
        timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        timer.timeout.connect(self.tick)
        timer.start(self.every)
        return timer

    def tick(self) -> None:
        """Note the time since the last call."""
        now, worked = time.perf_counter(), time.thread_time()
        self.waits.setdefault(self.now, []).append(max(0.0, 1000 * (now - self.last) - self.every))
        self.works.setdefault(self.now, []).append(1000 * (worked - self.worked))
        self.last, self.worked = now, worked


def scan_of(shape: tuple[int, int, int]) -> np.ndarray:
    """A block of tissue in air, int16."""
    voxels = np.full(shape, -1000, np.int16)
    d, h, w = (extent // 6 for extent in shape)
    voxels[d : -d - 1, h : -h - 1, w : -w - 1] = 40
    return voxels


def worker_alone(opened: Opened, worker: str) -> float:
    """Run what the panel would run, on a file and beside no window; returns seconds."""
    request: ScreenRequest = opened.widget.panel.request()
    scan = shared_scan_of(opened.ui.inputSelector.currentNode())
    with tempfile.TemporaryDirectory() as folder:
        write_scan(Path(folder, "scan.nrrd"), scan, lambda: None)
        line = ("screen", "scan.nrrd", "--out", "result", "--events", *request.options())
        command = Command((sys.executable,), worker, line)
        began = time.monotonic()
        subprocess.run(
            command.line(),
            cwd=folder,
            env=command.variables(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return time.monotonic() - began


def run_watched(opened: Opened, watch: Watch) -> float:
    """Screen what is chosen; returns the seconds from the click to the list of findings."""
    watch.now = "run"
    began = time.monotonic()
    opened.start()
    screening = opened.widget.logic.screening
    opened.host.wait(lambda: opened.ui.progressLabel.text.startswith("Taking the map"), 3600)
    watch.now = "run, the map is read and taken"
    opened.host.wait(lambda: not screening.busy, 3600)
    opened.wait_for_end()
    return time.monotonic() - began


def move_threshold(opened: Opened, watch: Watch) -> None:
    """Move the slider in steps, and wait for the list."""
    watch.now = "threshold moved"
    for threshold in np.linspace(2.5, 4.0, 16):
        opened.ui.thresholdSlider.value = float(threshold)
        opened.host.app.processEvents()
    watch.now = "findings listed again"
    opened.host.wait(lambda: opened.result.table.settings.threshold == 4.0, 60)


def cancel(opened: Opened, worker: str, watch: Watch) -> float:
    """Begin a run and cancel it while it scores; returns the seconds until nothing is left."""
    os.environ["SCREENER_STUB"] = '{"pause": "scoring"}'
    opened.use(worker)
    watch.now = "run that is cancelled"
    opened.start()
    opened.host.wait(lambda: opened.ui.progressLabel.text.startswith("Scoring"), 3600)
    began = time.monotonic()
    opened.start()
    opened.wait_for_end()
    return time.monotonic() - began


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512))
    parser.add_argument("--worker", choices=(STUB, ENGINE), default=STUB)
    parser.add_argument("--hold-gil", action="store_true")
    parser.add_argument("--rounds", type=int, default=1, help="alone and in the panel, in turns")
    options = parser.parse_args()
    watch = Watch(HELD_TICK_MS if options.hold_gil else TICK_MS)
    alone, whole = [], []
    with Application(views=False, holds_gil=options.hold_gil) as host:
        opened = Opened.in_host(host, options.worker)
        opened.add(scan_of(tuple(options.shape)))
        for _round in range(options.rounds):
            alone.append(worker_alone(opened, options.worker))
            timer = watch.start()
            calls = len(watch.waits.setdefault("idle", []))
            watch.now = "idle"
            host.wait(lambda: len(watch.waits["idle"]) > calls + 20, 60)  # noqa: B023
            whole.append(run_watched(opened, watch))
            move_threshold(opened, watch)
            timer.stop()
        timer = watch.start()
        cancelled = cancel(opened, options.worker, watch)
        timer.stop()
    ratio = np.median(np.array(whole) / np.array(alone))
    print(f"Worker alone, s: {_seconds(alone)}. In the panel: {_seconds(whole)}.")
    print(f"Ratio: {ratio:.2f} (median of {options.rounds}). Cancelled within {cancelled:.1f} s.")
    print(f"Processes that wanted a processor in the last 5 minutes: {os.getloadavg()[1]:.1f}.\n")
    header = ["while", "longest, ms", "99 %, ms", f"above {AIM_MS:.0f} ms", "calls"]
    header.append("own work, longest, ms")
    print(markdown(header, [_row(watch, what) for what in watch.waits]))


def _seconds(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _row(watch: Watch, what: str) -> list[str]:
    waits = watch.waits[what]
    above = sum(wait > AIM_MS for wait in waits)
    numbers = (max(waits), np.percentile(waits, 99), above, len(waits), max(watch.works[what]))
    return [what, *(f"{number:.0f}" for number in numbers)]


if __name__ == "__main__":
    main()
