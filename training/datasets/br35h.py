"""Br35H: slices of brain MRI as JPEG pictures, with a tumour or without; no masks.

Hamada, Kaggle, 2020. `yes` and `no` hold 1,500 pictures each, `pred` 60 without a label.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ctscreener.errors import InputError
from ctscreener.scan import CANONICAL, Scan
from training.datasets.example import Example, Reader, ReadScan
from training.datasets.folders import numbered, some

PARTS = ("no", "yes", "pred")
PICTURE = r"((?:y|no|pred)\d+)\.jpe?g"


def fits(folder: Path) -> bool:
    """Whether pictures of it are in `yes` and `no`."""
    return all(some(folder / part, PICTURE) for part in PARTS[:2])


def examples(folder: Path) -> Iterator[Example]:
    """Its pictures; the split of each is the folder that it is in: no patient is told."""
    for part in PARTS:
        for name, path in numbered(folder / part, PICTURE):
            yield Example(name, path, name, part)


def read_picture(example: Example, read: ReadScan) -> Scan:
    """Read a picture as one slice, pixels of 1 mm as nothing tells their size.

    Raises:
        InputError: `scan.unreadable`.
    """
    try:
        with Image.open(example.scan) as picture:
            grey = np.asarray(picture.convert("L"), np.float32)
    except (OSError, UnidentifiedImageError) as failure:
        raise InputError(
            "scan.unreadable",
            f"Expected a picture in {example.scan.name}, found: {failure}.",
            "Download it again.",
        ) from failure
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL.T
    return Scan(grey[None], affine)


READER = Reader(
    name="br35h",
    title="Br35H: slices of brain MRI, with or without a tumour",
    source="https://www.kaggle.com/datasets/ahmedhamada0/brain-tumor-detection",
    size="3,060 pictures",
    command="kaggle datasets download -d ahmedhamada0/brain-tumor-detection --unzip -p FOLDER",
    layout="yes/y0.jpg and no/no0.jpg",
    fits=fits,
    examples=examples,
    read=read_picture,
    kind="brain-mri-slices",
    notes="No licence was found, and nothing tells whose slices they are: slices of one patient may "
    "be on both sides of a split. The left of a picture is taken for the patient's right.",
)
