"""The export to DICOM as work for a child process: ten seconds and more for a large map."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ctscreener.findings import FindingSettings
from ctscreener.scan import Scan
from ctscreener.whole_file import whole_file
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.run import Check, Command
from ScreenerSlicerLib.process.timeline import Weights
from ScreenerSlicerLib.scene.row import Row

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
JOB, VALUES, RESULT = "work.json", "values.npy", "result"
"""The files that are exchanged; `RESULT` is the folder that the child makes."""
Kind = Literal["map", "segments", "report"]
"""A Parametric Map of all values, a Segmentation of findings, a report that refers to that one."""
PIECE_BYTES = 1 << 24
"""Slicer hands Python's lock to a thread only some times a second: a piece is a turn."""


@dataclass(frozen=True)
class Written:
    """A DICOM file that was made.

    Arguments:
        path: Where it is.
        uid: Its SOP instance UID.
    """

    path: Path
    uid: str


@dataclass(frozen=True)
class DicomWork:
    """DICOM objects to make, of one study.

    Arguments:
        files: Where each goes; all are there once they are whole, or none is.
        source: The DICOM files that the volume was loaded from, one a slice.
        rarity: The map, with rarities for HU; not to be written meanwhile.
        provenance: Of the run.
        rows: What becomes segments and entries of the report.
        settings: What these were found with.
        found: How many findings there are, listed or not; 0 where that is not known.
    """

    files: Mapping[Kind, Path]
    source: Sequence[Path]
    rarity: Scan
    provenance: Mapping[str, Any]
    rows: Sequence[Row] = ()
    settings: FindingSettings = FindingSettings()
    found: int = 0

    def __post_init__(self) -> None:
        """A report refers to segments, which must be there too."""
        assert "report" not in self.files or "segments" in self.files, "no report without segments"

    @property
    def bytes_needed(self) -> float:
        """Room for the values and the objects."""
        return 8 * self.rarity.hu.size

    def write(self, folder: Path, check: Check) -> None:
        """Write what the objects are made of; which voxels a finding has, the child finds out."""
        job = {
            "objects": list(self.files),
            "source": [str(file.resolve()) for file in self.source],
            "affine": self.rarity.affine.tolist(),
            "provenance": self.provenance,
            "rows": [row.to_json() for row in self.rows],
            "settings": asdict(self.settings),
            "found": self.found,
        }
        _save(folder / VALUES, self.rarity.hu, check)
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")

    def read(self, folder: Path, record: Mapping[str, Any], check: Check) -> list[Written]:
        """Put the objects where they belong: copied beside their place, then renamed.

        Returns:
            The files.

        Raises:
            InputError: One of `ctscreener.whole_file.whole_file`.
        """
        placed: list[Path] = []
        try:
            for kind, path in self.files.items():
                _place(folder / RESULT / f"{kind}.dcm", path, check)
                placed.append(path)
        except BaseException:
            for path in placed:
                path.unlink(missing_ok=True)
            raise
        uids = record["instances"]
        return [Written(path, uids[kind]) for kind, path in self.files.items()]


def _place(made: Path, path: Path, check: Check) -> None:
    """Copy a file to its place, where it is whole or not at all."""
    with whole_file(path) as part, made.open("rb") as source, part.open("xb") as file:
        while piece := source.read(PIECE_BYTES):
            check()
            file.write(piece)
        file.flush()
        check()


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
) -> BackgroundJob[list[Written]]:
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
