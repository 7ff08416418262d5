"""LUNA16: the scans of LIDC-IDRI with thin slices as MetaImage, nodules as centres and diameters.

Setio et al., Medical Image Analysis 42, 2017. `annotations.csv` has the nodules of 3 mm or more that
at least three of four readers marked, in LPS mm. `seg-lungs-LUNA16` holds masks of lungs, no scans.
"""

import csv
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.itk import LPS
from ctscreener.scan import Scan
from training.datasets.example import Example, Mask, Reader
from training.datasets.folders import folders_of, numbered, short, some
from training.datasets.licence import CC_BY_4

TABLE = "annotations.csv"
SCAN, SUBSET = r"([\d.]+)\.mhd", r"subset\d"

Nodule = tuple[np.ndarray, float]
"""Centre in LPS mm, `(3,)`, and diameter in mm."""


def fits(folder: Path) -> bool:
    """Whether its table and its subsets are there."""
    return some(folder, r"annotations\.csv") and some(folder, SUBSET)


def examples(folder: Path) -> Iterator[Example]:
    """Its scans; a subset is the part of a split, as its ten folds are meant."""
    for subset in folders_of(folder):
        if subset.name.startswith("subset"):
            for series, path in numbered(subset, SCAN):
                name = f"luna16_{short(series)}"
                yield Example(name, path, name, subset.name, folder / TABLE)


@lru_cache(maxsize=1)
def nodules(path: Path) -> dict[str, list[Nodule]]:
    """Read the nodules of each series.

    Raises:
        InputError: `datasets.annotation`.
    """
    found: dict[str, list[Nodule]] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        for line, row in enumerate(csv.DictReader(stream), 2):
            try:
                centre = np.array([float(row[f"coord{axis}"]) for axis in "XYZ"])
                found.setdefault(row["seriesuid"], []).append((centre, float(row["diameter_mm"])))
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    "datasets.annotation",
                    f"Expected nodules of LUNA16 in {path.name}, found line {line} without what "
                    f"is read of it ({type(error).__name__}: {error}).",
                    "Download the table again.",
                ) from error
    return found


def mask(example: Example, scan: Scan) -> Mask:
    """Fill a ball for each nodule, 1 inside."""
    assert example.mask is not None, "every example has the table"
    labels = np.zeros(scan.shape, np.uint8)
    for centre, diameter in nodules(example.mask).get(example.scan.stem, ()):
        at = (np.linalg.inv(scan.affine) @ LPS @ [*centre, 1.0])[:3]
        reach = diameter / 2 / scan.spacing
        low = np.maximum(np.ceil(at - reach), 0).astype(int)
        high = np.minimum(np.floor(at + reach) + 1, scan.shape).astype(int)
        box = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
        index = np.stack(np.indices(labels[box].shape), axis=-1) + low
        inside = (((index - at) / reach) ** 2).sum(axis=-1) <= 1
        labels[box][inside] = 1
    return labels, scan.affine


READER = Reader(
    name="luna16",
    title="LUNA16: chest CT of LIDC-IDRI with thin slices, nodules as balls",
    source="https://zenodo.org/records/3723295 and 4121926",
    size="888 scans, 67 GB packed",
    command="unzip subset0.zip to subset9.zip into FOLDER, beside annotations.csv",
    layout="subset0/<SeriesInstanceUID>.mhd, ... beside annotations.csv",
    fits=fits,
    examples=examples,
    licence=CC_BY_4,
    mask=mask,
    masks="a ball for each nodule of at least 3 readers, no outline",
    notes="Its scans are those of LIDC-IDRI: never train on the one and measure on the other. A "
    "series counts as a patient. Source, size and licence were not verified.",
)
