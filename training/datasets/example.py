"""What a data set is made of, and what a reader of one is.

Each reader is one file that ends in a `READER`, and one line in `training.datasets.readers`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ctscreener.errors import InputError
from ctscreener.files import read_labels
from ctscreener.scan import Scan
from training.datasets.licence import UNKNOWN, Licence

Kind = Literal["ct", "brain-mri", "brain-mri-slices"]
"""What the pictures are: the engine takes CT alone, and kinds are never mixed in one store."""
ReadScan = Callable[[Path, str | None], Scan]
"""Reads a file or a DICOM folder, and of the latter one series, as `ctscreener.files.read_scan`."""
Mask = tuple[np.ndarray, np.ndarray]
"""Labels, uint8, `(D, H, W)`, and the affine of their own grid, `(4, 4)`."""


@dataclass(frozen=True)
class Example:
    """One scan of a data set.

    Arguments:
        name: Its name, which no other scan of the set has, in letters that any disk takes.
        scan: Its file or DICOM folder.
        patient: Whose scan it is; no name of a person, as stores and results keep it.
        split: Which part of the set's own split it is in; empty where there is none.
        mask: The file or folder that tells of its lesions; None where nobody looked for any.
        series: SeriesInstanceUID, where its folder holds several.
        unused: Why it is left out, as the set's papers leave it out; empty for what is used.
        options: What was asked of the reader, and what it knows of the scan.
        more: Further files that the mask is read from.
    """

    name: str
    scan: Path
    patient: str
    split: str = ""
    mask: Path | None = None
    series: str | None = None
    unused: str = ""
    options: tuple[tuple[str, float], ...] = ()
    more: tuple[Path, ...] = ()

    def option(self, name: str, default: float) -> float:
        """What was asked of the reader, or its default."""
        return dict(self.options).get(name, default)


def file_mask(example: Example, scan: Scan) -> Mask:
    """Read the mask of an example from its file, on the grid of the file.

    Raises:
        InputError: `mask.values` or `scan.*`.
    """
    assert example.mask is not None, "asked of examples with a mask alone"
    return read_labels(example.mask)


def as_stored(example: Example, read: ReadScan) -> Scan:
    """Read the scan of an example as its file has it."""
    return read(example.scan, example.series)


@dataclass(frozen=True)
class Reader:
    """A data set: where it comes from, and how it is read from the folder as downloaded.

    Arguments:
        name: What stands before the colon of NAME:FOLDER.
        title: What it is, in one line.
        source: Where it is to be had.
        size: How many scans, and how large.
        command: What fetches it; nothing is fetched for the user.
        layout: What the folder holds.
        fits: Whether a folder looks like it, by a glance at a few names.
        examples: Its scans, in the order of their names, one by one.
        licence: What may be done with it.
        read: Reads a scan, mended where its file is known to be wrong.
        mask: Reads the mask of an example that has one.
        masks: What the masks show; empty where there are none.
        lesions: Value of the lesions in the masks; 0 for any, None where masks show organs alone.
        organs: Values of healthy tissue in the masks; other values are lesions of another kind.
        options: What can be asked of it, NAME,OPTION=NUMBER:FOLDER, with the defaults.
        paper_set: Its name in the paper's tables, if it is in them.
        kind: What its pictures are.
        notes: What is not as it seems in it, and what of this was not verified.
    """

    name: str
    title: str
    source: str
    size: str
    command: str
    layout: str
    fits: Callable[[Path], bool]
    examples: Callable[[Path], Iterator[Example]]
    licence: Licence = UNKNOWN
    read: Callable[[Example, ReadScan], Scan] = as_stored
    mask: Callable[[Example, Scan], Mask] = file_mask
    masks: str = ""
    lesions: int | None = 0
    organs: tuple[int, ...] = ()
    options: Mapping[str, float] = field(default_factory=dict)
    paper_set: str | None = None
    kind: Kind = "ct"
    notes: str = ""

    def require(self, folder: Path) -> None:
        """Refuse a folder that is missing, or that does not hold the set.

        Raises:
            InputError: `datasets.missing` or `datasets.layout`, with where to get the set.
        """
        get = f"Get it from {self.source} ({self.size}; {self.licence.name}): {self.command}."
        if not folder.is_dir():
            raise InputError(
                "datasets.missing",
                f"Expected the data set {self.name} in {folder}, found no such folder.",
                get,
            )
        if not self.fits(folder):
            raise InputError(
                "datasets.layout",
                f"Expected {self.layout} in {folder}, found none of it.",
                f"Give the folder that holds it. {get}",
            )
