"""A job without a process: it ends when a test says so, with the lumps for its output."""

import time
from collections.abc import Sequence
from typing import final

from ctscreener.findings import find
from ctscreener.scan import Scan
from ScreenerSlicerLib.install.causes import JobError
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest
from ScreenerSlicerLib.process.timeline import JobProgress
from ScreenerSlicerLib.screening import JobState, Screening, Update
from Testing.slicer import lumps

LONGEST_SECONDS = 30.0
REQUEST = ScreenRequest(threshold=3.0, min_volume_ml=0.05)
PROVENANCE = {"model": {"name": 'a "model"; <b>'}, "seconds": {"scoring": 1.5}}


@final
class FakeJob:
    """A `screening.Job` whose state, error and progress a test sets."""

    def __init__(self, scan: Scan, request: ScreenRequest, python: Sequence[str]) -> None:
        self.scan, self.request, self.python = scan, request, python
        self.state: JobState = "ready"
        self.error: JobError | None = None
        self.progress: JobProgress | None = None
        self.closed = False

    def start(self) -> None:
        """Begin."""
        self.state = "running"

    def poll(self) -> JobProgress | None:
        """Return what a test has set."""
        return self.progress

    def cancel(self) -> None:
        """Begin to end, if it has not ended."""
        if self.state in ("ready", "running"):
            self.state = "cancelling"

    def output(self) -> ScreenOutput:
        """Return the lumps, as if the engine had found them."""
        rarity = lumps.rarity()
        return ScreenOutput(rarity, find(rarity, self.scan, lumps.SETTINGS), PROVENANCE)

    def close(self) -> None:
        """Remember it."""
        self.closed = True


@final
class Jobs:
    """Makes fake jobs, and remembers them."""

    def __init__(self) -> None:
        self.made: list[FakeJob] = []

    def __call__(self, scan: Scan, request: ScreenRequest, python: Sequence[str]) -> FakeJob:
        """Make one."""
        self.made.append(FakeJob(scan, request, python))
        return self.made[-1]

    def finish(self, screening: Screening) -> None:
        """Let the last one be done, and its result be taken."""
        self.made[-1].state = "done"
        assert settled(screening).state == "done"


def settled(screening: Screening) -> Update:
    """Poll until nothing is on, as a timer does; returns the last update."""
    until = time.monotonic() + LONGEST_SECONDS
    update = screening.poll()
    while screening.busy:
        assert time.monotonic() < until, "the run does not end"
        update = screening.poll()
    return update
