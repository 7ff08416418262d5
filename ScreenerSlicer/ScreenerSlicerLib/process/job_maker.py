"""Where and by whom the jobs of the module are run, and the last of them."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from ctscreener.scan import Scan
from ScreenerSlicerLib.batch.batch_job import Engine
from ScreenerSlicerLib.export.dicom_job import DicomWork, Written, dicom_job
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.run import clear_left_behind
from ScreenerSlicerLib.process.run_log import RunLog
from ScreenerSlicerLib.process.screen_job import ENGINE, ScreenOutput, ScreenRequest, screen_job

STUB = "ScreenerSlicerLib.process.stub_worker"
"""The module that stands for the engine in self tests."""


@final
class JobMaker:
    """Makes the jobs of a `Screening`, and those of the export to DICOM.

    Scans that a killed Slicer has left in the folder are removed.

    Arguments:
        folder: Where temporary folders and the logs of the last runs go.
        environment: The variables from before Slicer set its own, with which PythonSlicer starts.
        worker: The module that is run.

    Attributes:
        last: The screening that was made last; None before the first.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], worker: str = ENGINE) -> None:
        clear_left_behind(folder)
        self._folder = folder
        self._environment = environment
        self._worker = worker
        self._log: RunLog | None = None
        self.last: BackgroundJob[ScreenOutput] | None = None

    def __call__(
        self, scan: Scan, request: ScreenRequest, python: Sequence[str]
    ) -> BackgroundJob[ScreenOutput]:
        """Make a screening that has not begun."""
        self.last = screen_job(
            scan,
            request,
            python,
            self._folder,
            worker=self._worker,
            environment=self._environment,
            log_folder=self._folder / "ScreenerSlicer",
        )
        self._log = self.last.log
        return self.last

    def export(self, work: DicomWork) -> BackgroundJob[list[Written]]:
        """Make an export to DICOM that has not begun."""
        job = dicom_job(work, slicer_python(), self._folder, self._environment)
        self._log = job.log
        return job

    def engine(self) -> Engine:
        """Return what screens the scans of a batch."""
        return Engine(tuple(slicer_python()), self._worker, self._environment, self._folder)

    @property
    def measured_seconds_a_tile(self) -> float | None:
        """What a tile of the last screening took; None before that is known, and for a stub."""
        return self.last.seconds_a_tile if self.last and self._worker == ENGINE else None

    def log_lines(self) -> list[str]:
        """Return the last lines of the last job's log."""
        return self._log.lines() if self._log else []


def slicer_python() -> list[str]:
    """Find Slicer's own Python, for a process beside Slicer."""
    # In Slicer `sys.executable` may be the application itself; elsewhere there is no PythonSlicer.
    return [shutil.which("PythonSlicer") or sys.executable]
