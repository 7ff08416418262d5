"""A case: a scan of which the lesions are known, or in which nobody looked for any."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ctscreener.files import read_labels, read_scan
from ctscreener.scan import Scan
from training.data.sources import Source
from training.datasets.masks import lesions_of, on_grid

Others = Literal["ignored", "healthy"]
"""What mask values are that are neither 0 nor the lesion's: lesions of another kind, which count
neither as lesions nor as healthy, or healthy tissue, such as the organ that holds the lesion."""
UNLABELLED = "unlabelled"
"""Name of the set of scans in which nobody looked for lesions."""


@dataclass(frozen=True)
class Case:
    """A scan with a mask of its lesions, or one in which none is known.

    Arguments:
        part: Name of its set.
        name: Name of the scan.
        scan: Its file or DICOM folder.
        mask: File of the mask; None where no lesion is known.
        label: Value of the lesions that are sought; 0 for any.
        others: What other values above 0 are.
        patient: Whose scan it is.
        origin: SHA-256 of the scan that lesions were put into; empty for a scan as it came.
        series: SeriesInstanceUID, where its folder holds several.
        source: Where it is from, which reads it.
        organs: Whether other values that are organs by its set are healthy all the same.
    """

    part: str
    name: str
    scan: Path
    mask: Path | None
    label: int = 0
    others: Others = "ignored"
    patient: str = ""
    origin: str = ""
    series: str | None = None
    source: Source | None = None
    organs: bool = True

    @property
    def files(self) -> list[Path]:
        """All that it is read from: the scan, and what tells of its lesions."""
        more = self.source.example.more if self.source and self.source.example else ()
        return [path for path in (self.scan, self.mask, *more) if path]

    @property
    def dataset(self) -> str:
        """Name of the reader of its set; empty where there is none."""
        return self.source.dataset if self.source else ""

    @property
    def asked(self) -> dict[str, float]:
        """What was asked of the reader of its set."""
        return dict(self.source.example.options) if self.source and self.source.example else {}

    def read(self) -> Scan:
        """Read the scan.

        Raises:
            InputError: One of `scan.*`, `dicom.*` or `datasets.*`.
        """
        return self.source.read(read_scan) if self.source else read_scan(self.scan, self.series)

    @property
    def unlabelled(self) -> bool:
        """Whether findings and rarities alone are measured, as nobody looked for lesions."""
        return self.part == UNLABELLED


def read_case_mask(case: Case, scan: Scan, resampled: bool) -> np.ndarray:
    """Read the mask of a case on the grid of its scan.

    Arguments:
        case: The case.
        scan: Its scan.
        resampled: Take the nearest voxel of a mask on another grid, in place of refusing it.

    Returns:
        Labels, uint8, in the shape of the scan; nothing but 0 where no lesion is known.

    Raises:
        InputError: `mask.grid`, `mask.values` or `scan.*`.
    """
    if case.mask is None:
        return np.zeros(scan.shape, np.uint8)
    source = case.source
    if source is None or source.reader is None or source.example is None:
        return on_grid(read_labels(case.mask), scan, case.mask.name, resampled)
    if case.organs:
        labels = lesions_of(source.reader, source.example, scan, resampled)
        return np.zeros(scan.shape, np.uint8) if labels is None else labels
    return on_grid(source.reader.mask(source.example, scan), scan, case.mask.name, resampled)
