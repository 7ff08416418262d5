"""A job without a process: it ends when a test says so, with the lumps for its output."""

from collections.abc import Sequence
from typing import final

from ctscreener.findings import find
from ctscreener.scan import Scan
from ScreenerSlicerLib.process.job import JobError, JobProgress, ScreenOutput, ScreenRequest
from ScreenerSlicerLib.screening import JobState, Screening
from Testing.slicer import lumps

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
        """Begin to end."""
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
        assert screening.poll().state == "done"
