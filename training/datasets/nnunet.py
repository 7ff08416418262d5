"""Folders in the layout of nnU-Net or of the Medical Segmentation Decathlon.

Isensee et al., Nature Methods 18, 2021; Antonelli et al., Nature Communications 13, 2022. What the
values of labels mean stands in `dataset.json`.
"""

from collections.abc import Iterator
from pathlib import Path

from ctscreener.files import FORMATS
from ctscreener.settings import read_json
from training.datasets.example import Example, Reader
from training.datasets.folders import numbered, some
from training.datasets.licence import Licence

CHANNEL = "_0000"
PARTS = {"Tr": "train", "Va": "val", "Ts": "test"}


def fits(folder: Path) -> bool:
    """Whether a description and images are there."""
    return some(folder, r"dataset\.json") and (folder / "imagesTr").is_dir()


def examples(folder: Path) -> Iterator[Example]:
    """Its images: of several channels the first."""
    description = read_json(folder / "dataset.json")
    ending = description.get("file_ending", "") if isinstance(description, dict) else ""
    endings = "|".join(one.replace(".", r"\.") for one in ([ending] if ending else FORMATS))
    for part, split in PARTS.items():
        masks = dict(numbered(folder / f"labels{part}", rf"([^.].*?)(?:{endings})"))
        for name, path in numbered(folder / f"images{part}", rf"([^.].*?)(?:{endings})"):
            case = name.removesuffix(CHANNEL)
            if case == name and name[-5:-4] == "_" and name[-4:].isdigit() and case not in masks:
                # Another channel of an image that is there already.
                continue
            yield Example(case, path, case, split, masks.get(case))


READER = Reader(
    name="nnunet",
    title="A folder in the layout of nnU-Net or of the Medical Segmentation Decathlon",
    source="your own, or http://medicaldecathlon.com",
    size="any",
    command="tar -xf Task03_Liver.tar",
    layout="dataset.json, imagesTr and labelsTr",
    fits=fits,
    examples=examples,
    licence=Licence("as its owner says", False, "CC BY-SA 4.0 for the Decathlon"),
    masks="as dataset.json says; --labels picks the lesions where it names several kinds",
    notes="A name is a patient, unless --patient finds another in it.",
)
