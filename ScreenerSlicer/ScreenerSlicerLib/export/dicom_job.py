"""The export to DICOM as work for a child process: ten seconds and more for a large map."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.findings import Finding
from ctscreener.scan import Scan
from ctscreener.whole_file import whole_file
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.run import Check, Command
from ScreenerSlicerLib.process.timeline import Weights

WORKER = "ScreenerSlicerLib.export.dicom_worker"
WEIGHTS: Weights = {
    "handing over": 4.0,
    "starting": 10.0,
    "reading headers": 20.0,
    "building": 46.0,
    "writing": 15.0,
    "taking over": 5.0,
}
"""The stages in their order, each with its usual share of the time."""
JOB, VALUES, RESULT = "work.json", "values.npy", "result.dcm"
"""The files that are exchanged; `RESULT` is what the child makes."""
PIECE_BYTES = 1 << 24
"""Slicer hands Python's lock to a thread only some times a second: a piece is a turn."""


@dataclass(frozen=True)
class DicomWork:
    """A DICOM object to make.

    Arguments:
        path: The file; it is there once it is whole, or not at all.
        source: The DICOM files that the volume was loaded from, one a slice.
        rarity: The map, with rarities for HU; not to be written meanwhile.
        provenance: Of the run.
        findings: What becomes segments; None makes a Parametric Map of all values.
        threshold: The threshold that the findings were found with.
    """

    path: Path
    source: Sequence[Path]
    rarity: Scan
    provenance: Mapping[str, Any]
    findings: Sequence[Finding] | None = None
    threshold: float = 0.0

    @property
    def bytes_needed(self) -> float:
        """Room for the values and the object."""
        return 8 * self.rarity.hu.size

    def write(self, folder: Path, check: Check) -> None:
        """Write what the object is made of; which voxels a finding has, the child finds out."""
        job = {
            "source": [str(file.resolve()) for file in self.source],
            "affine": self.rarity.affine.tolist(),
            "provenance": self.provenance,
        }
        if self.findings is not None:
            job["findings"] = [asdict(one) for one in self.findings]
            job["threshold"] = self.threshold
        _save(folder / VALUES, self.rarity.hu, check)
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")

    def read(self, folder: Path, record: Mapping[str, Any], check: Check) -> Path:
        """Put the object where it belongs: copied beside its place, then renamed.

        Returns:
            `path`.

        Raises:
            InputError: One of `ctscreener.whole_file.whole_file`.
        """
        with (
            whole_file(self.path) as part,
            (folder / RESULT).open("rb") as made,
            part.open("xb") as file,
        ):
            while piece := made.read(PIECE_BYTES):
                check()
                file.write(piece)
            file.flush()
            check()
        return self.path


def _save(path: Path, values: np.ndarray, check: Check) -> None:
    """Write a map as float32 `.npy`, in a few large pieces."""
    one = np.lib.format.header_data_from_array_1_0(np.empty((0, *values.shape[1:]), np.float32))
    slices = max(1, PIECE_BYTES // (4 * values[0].size))
    with path.open("wb", buffering=0) as file:
        np.lib.format.write_array_header_1_0(file, {**one, "shape": values.shape})
        for first in range(0, len(values), slices):
            check()
            rest = np.ascontiguousarray(values[first : first + slices], "<f4").data.cast("B")
            # A raw file may take a part at a time.
            while rest:
                rest = rest[file.write(rest) :]


def dicom_job(
    work: DicomWork,
    python: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    worker: str = WORKER,
) -> BackgroundJob[Path]:
    """Make an export that has not begun.

    Arguments:
        work: What is made.
        python: The interpreter, with its own arguments if any; it needs highdicom.
        folder: Where the temporary folder is made; the system's place when None.
        environment: Variables of the child to start from; those of this process when None.
        worker: The module that is run.
    """
    command = Command(tuple(python), worker, (JOB, VALUES, RESULT), environment)
    return BackgroundJob(work, command, folder, weights=WEIGHTS)
