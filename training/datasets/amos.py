"""AMOS22: abdominal CT and MRI of several hospitals; its CT, with and without organs outlined.

Ji et al., NeurIPS 2022. Numbers up to 500 are CT, 501 to 600 MRI, 5000 and up CT without masks.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.example import Example, Reader
from training.datasets.folders import below, folders_of, numbered, some
from training.datasets.licence import Licence

SCAN = r"amos_(\d+)\.nii\.gz"
LAST_CT, FIRST_UNLABELLED = 500, 5000
PARTS = {"Tr": "train", "Va": "val", "Ts": "test"}
UNLABELLED = r"amos(22)?_unlabeled.*"
BROKEN = frozenset(
    (5397, 5073, 5120, 5173, 5414, 5437, 5514, 5547, 5588)
    + (5640, 5654, 5677, 5687, 5721, 5871, 5950, 6016)
)
"""What the paper's authors leave out; the files of 5437 and 5514 are damaged in the archives."""


def fits(folder: Path) -> bool:
    """Whether scans of it are in its folders."""
    root = below(folder, "amos22")
    return any(some(root / f"images{part}", SCAN) for part in PARTS) or some(folder, UNLABELLED)


def examples(folder: Path) -> Iterator[Example]:
    """Its scans; MRI and broken ones are named as not used."""
    root = below(folder, "amos22")
    for part, split in PARTS.items():
        for number, path in numbered(root / f"images{part}", SCAN):
            mask = root / f"labels{part}" / path.name
            yield _example(number, path, split, mask if mask.is_file() else None)
    for inner in (*folders_of(folder), *(folders_of(root) if root != folder else ())):
        if inner.name.startswith(("amos22_unlabeled", "amos_unlabeled")):
            for number, path in numbered(inner, SCAN):
                yield _example(number, path, "unlabelled", None)


def _example(number: str, path: Path, split: str, mask: Path | None) -> Example:
    unused = ""
    if LAST_CT < int(number) < FIRST_UNLABELLED:
        unused = "an MRI"
    elif int(number) in BROKEN:
        unused = "broken in the published archives"
    name = f"amos_{number}"
    return Example(name, path, name, split, mask, unused=unused)


READER = Reader(
    name="amos",
    title="AMOS22: abdominal CT of several hospitals (its MRI is left out)",
    source="https://zenodo.org/records/7262581, and the pages of unlabelled CT linked from there",
    size="500 CT with 15 organs, some 1,900 without masks; amos22.zip 23 GB",
    command="unzip amos22.zip and amos22_unlabeled_ct_*.zip into one folder",
    layout="amos22/imagesTr/amos_0001.nii.gz, labelsTr, imagesVa, ..., or amos*_unlabeled_*/",
    fits=fits,
    examples=examples,
    licence=Licence(
        "CC BY 4.0", True, "as Zenodo has it; the paper's page says CC BY-NC-SA: ask its owners"
    ),
    masks="15 organs, no lesions",
    lesions=None,
    notes="17 numbers are left out as the paper's authors leave them out. That scans of one patient "
    "have one number is taken for granted: nothing in the files says so.",
)
