"""Benchmark: for how long the window stands still during a run, and when a slider is moved.

    python Testing/benchmarks/panel.py [--shape 300 512 512] [--worker MODULE]
                                       [--hold-gil]

A timer of 5 ms runs in the test host beside the module; the longest time between two of its calls
is how long a user could not click. With `--hold-gil` the host keeps Python's lock while it waits,
as Slicer does, and the timer comes every 100 ms, for each of its calls lets threads run. It is
told for the whole run with the stub for its engine (the
window does the same work whatever the child does), for the moment in which the result is taken,
and for each move of a slider. The aim is 50 ms during a run, on a machine that does nothing else.
Where others work on the machine too, compare with the time while idle, and look at the column of
the window's own work: processor time of the main thread, which waiting for others does not lengthen.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]

import numpy as np
from PySide6 import QtCore

from ScreenerSlicerLib.process.job_maker import ENGINE, STUB
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


def measure(opened: Opened, shape: tuple[int, int, int], every: int) -> tuple[Watch, float]:
    """Screen a volume and move sliders, watched; returns the seconds of the run as well."""
    opened.add(scan_of(shape))
    watch = Watch(every)
    timer = watch.start()
    opened.host.wait(lambda: len(watch.waits.get("idle", ())) > 20, 60)
    began = time.monotonic()
    opened.start()
    watch.now = "run"
    screening = opened.widget.logic.screening
    opened.host.wait(lambda: opened.ui.progressLabel.text.startswith("Taking the map"), 3600)
    watch.now = "run, the map is read and taken"
    opened.host.wait(lambda: not screening.busy, 3600)
    opened.host.wait(lambda: opened.ui.screenButton.text == "Screen volume", 60)
    seconds = time.monotonic() - began
    watch.now = "threshold moved"
    for threshold in np.linspace(2.5, 4.0, 16):
        opened.ui.thresholdSlider.value = float(threshold)
        opened.host.app.processEvents()
    watch.now = "findings listed again"
    opened.host.wait(lambda: opened.result.table.settings.threshold == 4.0, 60)
    timer.stop()
    return watch, seconds


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512))
    parser.add_argument("--worker", choices=(STUB, ENGINE), default=STUB)
    parser.add_argument("--hold-gil", action="store_true")
    options = parser.parse_args()
    every = HELD_TICK_MS if options.hold_gil else TICK_MS
    with Application(views=False, holds_gil=options.hold_gil) as host:
        opened = Opened.in_host(host, options.worker)
        watch, seconds = measure(opened, tuple(options.shape), every)
    header = ["while", "longest, ms", "99 %, ms", f"above {AIM_MS:.0f} ms", "calls"]
    header.append("own work, longest, ms")
    print(f"The whole run took {seconds:.1f} s.\n")
    print(markdown(header, [_row(watch, what) for what in watch.waits]))


def _row(watch: Watch, what: str) -> list[str]:
    waits = watch.waits[what]
    above = sum(wait > AIM_MS for wait in waits)
    numbers = (max(waits), np.percentile(waits, 99), above, len(waits), max(watch.works[what]))
    return [what, *(f"{number:.0f}" for number in numbers)]


if __name__ == "__main__":
    main()
