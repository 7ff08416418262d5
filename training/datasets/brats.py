"""BraTS2021: brain MRI of gliomas, skull taken off, with tumours outlined; the T2 images.

Baid et al., arXiv 2107.02314. 240 x 240 x 155 voxels of 1 mm; four images and a mask a patient.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.example import Example, Reader
from training.datasets.folders import below, numbered, some
from training.datasets.licence import CC_BY_NC_SA_4
from training.datasets.mri import read_mri

CASE = r"(BraTS2021_\d{5})"
PLACES = ("BraTS2021_Training_Data", "RSNA_ASNR_MICCAI_BraTS2021_TrainingData")


def fits(folder: Path) -> bool:
    """Whether its patients are in a folder."""
    return some(folder, CASE) or some(below(folder, *PLACES), CASE)


def examples(folder: Path) -> Iterator[Example]:
    """Its T2 images; those of the validation have no mask."""
    root = folder if some(folder, CASE) else below(folder, *PLACES)
    for name, case in numbered(root, CASE):
        mask = case / f"{name}_seg.nii.gz"
        found = mask if mask.is_file() else None
        split = "train" if found else "validation"
        yield Example(name, case / f"{name}_t2.nii.gz", name, split, found)


READER = Reader(
    name="brats",
    title="BraTS2021: brain MRI (T2) with gliomas outlined",
    source="https://www.synapse.org/brats2021 (sign-up)",
    size="1,251 patients with masks, 219 without; 15 GB",
    command="tar -xf BraTS2021_Training_Data.tar -C FOLDER",
    layout="BraTS2021_00000/BraTS2021_00000_t2.nii.gz with BraTS2021_00000_seg.nii.gz",
    fits=fits,
    examples=examples,
    licence=CC_BY_NC_SA_4,
    read=read_mri,
    masks="1 necrotic core, 2 oedema, 4 enhancing tumour, all of them the lesion",
    kind="brain-mri",
)
