"""TotalSegmentator: CT of all parts of the body from clinical routine, with structures outlined.

Wasserthal et al., Radiology: Artificial Intelligence 5(5), 2023. One folder a scan, with one file a
structure; `meta.csv`, parted by semicolons, has the split.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from training.datasets.abdomen_atlas import APART, mask
from training.datasets.example import Example, Reader
from training.datasets.folders import below, numbered, some
from training.datasets.licence import CC_BY_4

CASE = r"(s\d{4})"
PLACES = ("Totalsegmentator_dataset", "Totalsegmentator_dataset_v201")


def fits(folder: Path) -> bool:
    """Whether its scans are in a folder."""
    root = below(folder, *PLACES)
    return some(root, CASE) and some(root, r"meta\.csv")


def examples(folder: Path) -> Iterator[Example]:
    """Its scans, with the split that `meta.csv` tells."""
    root = below(folder, *PLACES)
    splits = _splits(root / "meta.csv")
    for name, case in numbered(root, CASE):
        organs = case / APART
        found = organs if organs.is_dir() else None
        yield Example(f"ts_{name}", case / "ct.nii.gz", name, splits.get(name, ""), found)


def _splits(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream, delimiter=";")
        return {row.get("image_id") or "": row.get("split") or "" for row in rows}


READER = Reader(
    name="totalsegmentator",
    title="TotalSegmentator: CT of all parts of the body, at 1.5 mm",
    source="https://zenodo.org/records/6802614 (version 1), 10047292 (version 2)",
    size="1,204 scans (version 1), 35 GB",
    command="unzip Totalsegmentator_dataset.zip into FOLDER",
    layout="s0000/ct.nii.gz with s0000/segmentations/*.nii.gz, and meta.csv",
    fits=fits,
    examples=examples,
    licence=CC_BY_4,
    mask=mask,
    masks="104 structures, no lesions",
    lesions=None,
    notes="Scans were drawn at random: that no patient has two is taken for granted.",
)
