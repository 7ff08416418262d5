"""IXI: brain MRI of healthy people, the T2 images.

https://brain-development.org/ixi-dataset. Names tell patient, hospital and number of the visit:
`IXI012-HH-1211-T2.nii.gz`.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.example import Example, Reader
from training.datasets.folders import below, numbered, some
from training.datasets.licence import CC_BY_SA_3
from training.datasets.mri import read_mri

SCAN = r"(IXI\d{3}-.+-T2)\.nii(?:\.gz)?"


def fits(folder: Path) -> bool:
    """Whether T2 images of it are in a folder, or in one in it."""
    return some(below(folder, "IXI-T2"), SCAN)


def examples(folder: Path) -> Iterator[Example]:
    """Its T2 images."""
    for name, path in numbered(below(folder, "IXI-T2"), SCAN):
        yield Example(name, path, name.split("-")[0])


READER = Reader(
    name="ixi",
    title="IXI: brain MRI (T2) of healthy people",
    source="https://brain-development.org/ixi-dataset",
    size="some 580 people, IXI-T2.tar 4 GB",
    command="tar -xf IXI-T2.tar -C FOLDER",
    layout="IXI012-HH-1211-T2.nii.gz",
    fits=fits,
    examples=examples,
    licence=CC_BY_SA_3,
    read=read_mri,
    kind="brain-mri",
    notes="Its size was not verified.",
)
