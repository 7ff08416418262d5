"""Work in the background: start it, poll it from a timer, cancel it, take its output."""

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, final

from ScreenerSlicerLib.install.causes import JobError
from ScreenerSlicerLib.process.run import Cancelled, Command, Failed, Run, Work
from ScreenerSlicerLib.process.run_log import RunLog
from ScreenerSlicerLib.process.timeline import WEIGHTS, JobProgress, Timeline, Weights
from ScreenerSlicerLib.translation import tr as _

Output = TypeVar("Output")

logger = logging.getLogger(__name__)

State = Literal["ready", "running", "cancelling", "done", "failed", "cancelled"]

GIVE_WAY_SECONDS = 0.01
"""For so long every `poll` of a job that is on lets its threads run: Slicer's event loop keeps
Python's lock, so that between two calls of a timer they stand still."""
EXIT_SECONDS = 2.0
"""How long an application that ends waits for a run that nobody closed."""
OF_THE_LIST = "findings."
"""How codes of notices begin that tell what a list leaves out. The list itself tells that, as it is
now; and all was done as asked for."""


@final
class BackgroundJob(Generic[Output]):
    """One piece of work in the background; no call holds up a window.

    All is done by a thread and by a child process; nothing of it is left, neither process nor
    file, once `state` is `done`, `failed` or `cancelled`.

    Arguments:
        work: What is done.
        command: By which program.
        folder: Where the temporary folder is made; the system's place when None.
        log_folder: Where the run's log file goes; in memory alone when None.
        weights: The stages of the work.
    """

    def __init__(
        self,
        work: Work[Output],
        command: Command,
        folder: Path | None = None,
        log_folder: Path | None = None,
        weights: Weights = WEIGHTS,
    ) -> None:
        self.log = RunLog(log_folder)
        self._events: deque[dict[str, Any]] = deque()
        self._run = Run(work, command, folder, self._events.append, self.log)
        self._outcome: _Outcome[Output] = _Outcome()
        self._thread: threading.Thread | None = None
        self._cancelled = False
        self._timeline = Timeline(weights=weights)
        self._progress = JobProgress("handing over", 0, 1)

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._thread is not None or self._cancelled:
            return
        self._thread = threading.Thread(
            target=_work, args=(self._run, self._outcome), name="screener", daemon=True
        )
        # For a job that nobody holds any more, and for an application that ends.
        weakref.finalize(self, self._run.kill)
        _runs.add(self._run)
        self._thread.start()

    @property
    def state(self) -> State:
        """Where the job is; the last three are final."""
        if self._outcome.state is not None:
            return self._outcome.state
        if self._thread is None:
            return "cancelled" if self._cancelled else "ready"
        return "cancelling" if self._cancelled else "running"

    @property
    def error(self) -> JobError | None:
        """Why the job failed; None in every other state."""
        return self._outcome.error

    @property
    def seconds_a_tile(self) -> float | None:
        """What a tile took, to estimate later runs on this device; None when not known."""
        return self._timeline.seconds_a_step

    def poll(self) -> JobProgress | None:
        """Return the newest progress, or None where there is none since the last call.

        Call it ten times a second and more: while a job is on, a hundredth of a second in here is
        all that its threads may have.
        """
        if self.state in ("running", "cancelling"):
            # `sleep` gives the lock up, which nothing else in Slicer's main thread does.
            time.sleep(GIVE_WAY_SECONDS)
        before = self._progress
        for _event in range(len(self._events)):
            self._progress = self._after(self._events.popleft())
        return None if self._progress is before else self._progress

    def _after(self, event: Mapping[str, Any]) -> JobProgress:
        """Where the run is after an event; a notice stays until another replaces it."""
        last = self._progress
        if event.get("event") == "notice" and str(event.get("code", "")).startswith(OF_THE_LIST):
            return last
        if event.get("event") == "notice":
            return replace(last, notice=str(event.get("message", "")))
        if event.get("event") != "progress":
            return last
        stage, done, total = event.get("stage", ""), event.get("done", 0), event.get("total", 0)
        return self._timeline.at(str(stage), int(done), int(total), last.notice)

    def cancel(self) -> None:
        """Ask the run to end; `state` tells when process and files are gone."""
        self._cancelled = True
        self._run.stop()

    def output(self) -> Output:
        """Return what came of it.

        Raises:
            RuntimeError: The job is not done.
        """
        if self._outcome.output is None:
            raise RuntimeError(f"a job that is {self.state} has no output")
        return self._outcome.output

    def close(self, wait_seconds: float = 0.0) -> None:
        """End whatever still runs and drop the output; may be called more than once.

        Arguments:
            wait_seconds: How long to wait for process and files to be gone: at the end of the
                application, where no timer will look again, one or two seconds.
        """
        self._cancelled = True
        self._run.kill()
        if self._thread is not None and wait_seconds > 0:
            self._run.ended.wait(wait_seconds)
        self._outcome.output = None


class _Outcome(Generic[Output]):
    """What the thread leaves for the others; `state` is set last."""

    def __init__(self) -> None:
        self.output: Output | None = None
        self.error: JobError | None = None
        self.state: Literal["done", "failed", "cancelled"] | None = None


def _work(run: Run[Output], outcome: _Outcome[Output]) -> None:
    """Run, and say how it ended; whatever happens, it has ended."""
    end: Literal["done", "failed", "cancelled"] = "failed"
    error: JobError | None = JobError(
        "internal",
        _("Screener itself failed."),
        _("Copy the report and send it to the developers."),
    )
    began = time.monotonic()
    try:
        outcome.output = run()
        end, error = "done", None
    except Cancelled:
        end, error = "cancelled", None
    except Failed as failure:
        error = failure.error
    finally:
        outcome.error = error
        outcome.state = end
        logger.info("Work %s after %.1f s", end, time.monotonic() - began)


def _end_all() -> None:
    """End the runs that outlive the application, and wait until their files are gone."""
    runs = list(_runs)
    for run in runs:
        run.kill()
    for run in runs:
        run.ended.wait(EXIT_SECONDS)


_runs: "weakref.WeakSet[Run[Any]]" = weakref.WeakSet()
atexit.register(_end_all)
