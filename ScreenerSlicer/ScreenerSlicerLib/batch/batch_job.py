"""One scan of a batch as work for a child process: its result stays in a folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from ctscreener.errors import InputError
from ctscreener.rarity_text import counted_up_to
from ScreenerSlicerLib.batch.sources import Handed
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.nrrd_file import read_map
from ScreenerSlicerLib.process.run import Check, Command
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.translation import tr as _


@dataclass(frozen=True)
class Screened:
    """What came of a scan.

    Arguments:
        folder: Where its files are.
        findings: How many there are, listed or not.
        top_rarity: The highest rarity of one; None where there is none.
        seconds: How long it took, all stages together.
        counted: The highest rarity that was counted on the reference scans.
        rarity: Its map, where that was wanted back, `(D, H, W)`.
    """

    folder: Path
    findings: int
    top_rarity: float | None
    seconds: float
    counted: float = math.inf
    rarity: np.ndarray | None = None


@final
class BatchWork:
    """Hands a scan over, and takes over what its result says.

    Arguments:
        handed: The scan.
        out: Its result folder.
    """

    def __init__(self, handed: Handed, out: Path) -> None:
        self._handed = handed
        self._out = out

    @property
    def bytes_needed(self) -> float:
        """Room in the temporary folder."""
        return self._handed.bytes_needed

    def write(self, folder: Path, check: Check) -> None:
        """Write the scan, where the engine cannot read it where it lies."""
        self._handed.write(folder, check)

    def read(self, folder: Path, record: Mapping[str, Any], check: Check) -> Screened:
        """Take over the figures, and the map where it is wanted.

        Raises:
            InputError: `result.unreadable`.
        """
        like = self._handed.like
        rarity = read_map(self._out / "anomaly.nrrd", like, check) if like else None
        try:
            peaks = [float(one["peak_rarity"]) for one in record["findings"]]
            seconds = sum(record["provenance"]["seconds"].values())
            counted = counted_up_to(record["provenance"])
            found = int(record["found"])
        except (KeyError, TypeError) as error:
            raise InputError(
                "result.unreadable",
                _("Expected findings and their provenance, found {error}.").format(
                    error=repr(error)
                ),
                _("Screen the volume again."),
            ) from error
        top = max(peaks, default=None)
        return Screened(self._out, found, top, round(seconds, 1), counted, rarity)


@dataclass(frozen=True)
class Engine:
    """By whom the scans of a batch are screened.

    Arguments:
        python: The interpreter, with its own arguments if any.
        worker: The module that is run: the engine, or the stub of the self tests.
        environment: Variables of the child to start from; those of this process when None.
        folder: Where temporary folders are made; the system's place when None.
    """

    python: tuple[str, ...]
    worker: str = "ctscreener"
    environment: Mapping[str, str] | None = None
    folder: Path | None = None

    def job(self, handed: Handed, request: ScreenRequest, out: Path) -> BackgroundJob[Screened]:
        """Make the job of one scan, which has not begun.

        Arguments:
            handed: The scan.
            request: How it is screened.
            out: Its result folder, which is not there yet.
        """
        where = ("screen", handed.argument, "--out", str(out.absolute()), "--events")
        line = (*where, *request.options())
        command = Command(self.python, self.worker, line, self.environment)
        log_folder = self.folder / "ScreenerSlicer" if self.folder else None
        return BackgroundJob(BatchWork(handed, out), command, self.folder, log_folder)
