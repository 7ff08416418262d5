"""Jobs on a small scan: that of a stub, that of a child which hangs, and waiting for their end."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctscreener.scan import Scan
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest, screen_job
from ScreenerSlicerLib.process.timeline import JobProgress
from Testing.slicer.processes import alive, pids_in, soon

ROOT = Path(__file__).parents[2]
STUB = "ScreenerSlicerLib.process.stub_worker"
QUICK = "Testing.slicer.quick_worker"


def body(shape: tuple[int, int, int] = (40, 48, 56)) -> Scan:
    """A block of tissue in air, int16 as Slicer has it, left-handed and tilted."""
    hu = np.full(shape, -1000, np.int16)
    depth, height, width = (n // 4 for n in shape)
    hu[depth // 2 : -depth // 2, height:-height, width:-width] = 40
    cos, sin = np.cos(0.2), np.sin(0.2)
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, -2], [-3 * sin, 2 * cos, 0], [3 * cos, 2 * sin, 0]]
    affine[:3, 3] = [10, -20, 30]
    return Scan(hu, affine)


def new_job(
    scan: Scan, folder: Path, worker: str = STUB, most: int = 5, **variables: str
) -> BackgroundJob[ScreenOutput]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    request = ScreenRequest(threshold=2.5, min_volume_ml=0.01, most=most)
    return screen_job(
        scan, request, [sys.executable], folder, worker=worker, environment=environment
    )


@dataclass(frozen=True)
class Hung:
    """A job whose child hangs, in a temporary folder of its own.

    Arguments:
        job: It has been started.
        processes: The child and one that it has started.
        folder: Where its files are.
    """

    job: BackgroundJob[ScreenOutput]
    processes: list[int]
    folder: Path

    @property
    def is_gone(self) -> bool:
        """Whether neither process nor file is left."""
        return not any(map(alive, self.processes)) and not list(self.folder.iterdir())


def hung(tmp_path: Path, stage: str = "scoring", **variables: str) -> Hung:
    """Start a job that hangs in a stage."""
    folder, pids = tmp_path / "temporary", tmp_path / "pids"
    folder.mkdir()
    job = new_job(body(), folder, QUICK, QUICK_HANG=stage, QUICK_PIDS=str(pids), **variables)
    job.start()
    return Hung(job, pids_in(pids), folder)


def finish(job: BackgroundJob[ScreenOutput]) -> list[JobProgress]:
    """Poll to the end."""
    told: list[JobProgress] = []

    def ended() -> bool:
        told.extend(filter(None, [job.poll()]))
        return job.state in ("done", "failed", "cancelled")

    assert soon(ended, 60)
    told.extend(filter(None, [job.poll()]))
    return told
