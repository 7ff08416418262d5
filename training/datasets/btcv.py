"""BTCV, Beyond the Cranial Vault: abdominal CT with 13 organs.

Landman et al., MICCAI workshop, 2015.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.example import Example, Reader
from training.datasets.folders import below, numbered, some
from training.datasets.licence import Licence

SCAN = r"img(\d{4})\.nii\.gz"
PARTS = {"Training": "train", "Testing": "test"}


def fits(folder: Path) -> bool:
    """Whether its scans are where its archive puts them."""
    root = _root(folder)
    return any(some(root / part / "img", SCAN) for part in PARTS)


def _root(folder: Path) -> Path:
    return below(folder, "RawData", "Abdomen/RawData")


def examples(folder: Path) -> Iterator[Example]:
    """Its scans; those of the test have no mask."""
    root = _root(folder)
    for part, split in PARTS.items():
        for number, path in numbered(root / part / "img", SCAN):
            mask = root / part / "label" / f"label{number}.nii.gz"
            name = f"btcv_{number}"
            yield Example(name, path, name, split, mask if mask.is_file() else None)


READER = Reader(
    name="btcv",
    title="BTCV (Beyond the Cranial Vault): abdominal CT with contrast",
    source="https://www.synapse.org/Synapse:syn3193805 (sign-up)",
    size="30 scans with 13 organs, 20 without",
    command="synapse get -r syn3193805, then unzip RawData.zip into FOLDER",
    layout="RawData/Training/img/img0001.nii.gz with RawData/Training/label/label0001.nii.gz",
    fits=fits,
    examples=examples,
    licence=Licence("terms of Synapse", False, "no licence was found: ask its owners"),
    masks="13 organs (6 is the liver), no lesions",
    lesions=None,
)
