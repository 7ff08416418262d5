"""Where and by whom the jobs of the module are run, and the last of them."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from ctscreener.scan import Scan
from ScreenerSlicerLib.process.job import ScreenJob, ScreenRequest

ENGINE, STUB = "ctscreener", "ScreenerSlicerLib.process.stub_worker"
"""The modules that a job can run: the engine, and what stands for it in self tests."""


@final
class JobMaker:
    """Makes the jobs of a `Screening`.

    Arguments:
        folder: Where temporary folders and the logs of the last runs go.
        environment: The variables from before Slicer set its own, with which PythonSlicer starts.
        worker: The module that is run.

    Attributes:
        last: The job that was made last; None before the first.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], worker: str = ENGINE) -> None:
        self._folder = folder
        self._environment = environment
        self._worker = worker
        self.last: ScreenJob | None = None

    def __call__(self, scan: Scan, request: ScreenRequest, python: Sequence[str]) -> ScreenJob:
        """Make a job that has not begun."""
        self.last = ScreenJob(
            scan,
            request,
            python,
            self._folder,
            worker=self._worker,
            environment=self._environment,
            log_folder=self._folder / "ScreenerSlicer",
        )
        return self.last

    def log_lines(self) -> list[str]:
        """Return the last lines of the last run's log."""
        return self.last.log.lines() if self.last else []


def slicer_python() -> list[str]:
    """Find Slicer's own Python, for a process beside Slicer."""
    # In Slicer `sys.executable` may be the application itself; elsewhere there is no PythonSlicer.
    return [shutil.which("PythonSlicer") or sys.executable]
