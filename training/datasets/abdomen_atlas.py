"""AbdomenAtlas: abdominal CT put together from public sets, with organs outlined.

Li et al., Medical Image Analysis 97, 2024. A case holds `ct.nii.gz` with `combined_labels.nii.gz`,
or one file an organ in `segmentations`; in later versions masks are in a folder beside.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ctscreener.files import read_labels
from ctscreener.scan import Scan
from training.datasets.example import Example, Mask, Reader
from training.datasets.folders import below, numbered, some
from training.datasets.licence import CC_BY_NC_SA_4

CASE = r"(BDMAP_[A-Z]?\d+)"
PLACES = ("uncompressed", "image_only", "AbdomenAtlas1.0Mini", "AbdomenAtlas1.1Mini")
BESIDE = "mask_only"
COMBINED, APART = "combined_labels.nii.gz", "segmentations"


def fits(folder: Path) -> bool:
    """Whether its cases are in a folder, or where its archives put them."""
    return some(folder, CASE) or some(below(folder, *PLACES), CASE)


def examples(folder: Path) -> Iterator[Example]:
    """Its cases, with the mask wherever it is."""
    root = folder if some(folder, CASE) else below(folder, *PLACES)
    for name, case in numbered(root, CASE):
        inside = [case, folder / BESIDE / name, folder.parent / BESIDE / name]
        masks = [place / kind for kind in (COMBINED, APART) for place in inside]
        mask = next((one for one in masks if one.exists()), None)
        yield Example(name, case / "ct.nii.gz", name, mask=mask)


def mask(example: Example, scan: Scan) -> Mask:
    """Read organs; of files one an organ, 1 and up by the order of their names.

    Raises:
        InputError: `mask.values` or `scan.*`.
    """
    assert example.mask is not None, "asked of examples with a mask alone"
    if example.mask.is_file():
        return read_labels(example.mask)
    labels, affine = np.zeros(scan.shape, np.uint8), scan.affine
    for value, (_, path) in enumerate(numbered(example.mask, r"(.+)\.nii\.gz"), 1):
        organ, affine = read_labels(path)
        labels = np.zeros(organ.shape, np.uint8) if organ.shape != labels.shape else labels
        labels[organ > 0] = value
    return labels, affine


READER = Reader(
    name="abdomenatlas",
    title="AbdomenAtlas 1.0 or 1.1 Mini: abdominal CT of many public sets",
    source="https://huggingface.co/datasets/BodyMaps/AbdomenAtlas1.0Mini (a form to fill in)",
    size="some 5,200 scans; the paper uses 4,607",
    command="huggingface-cli download BodyMaps/AbdomenAtlas1.0Mini --repo-type dataset "
    "--local-dir FOLDER",
    layout="BDMAP_00000001/ct.nii.gz with combined_labels.nii.gz or segmentations/*.nii.gz",
    fits=fits,
    examples=examples,
    licence=CC_BY_NC_SA_4,
    mask=mask,
    masks="organs, no lesions",
    lesions=None,
    notes="Holds scans of LiTS, KiTS, AMOS, BTCV and others: `datasets check --against` finds them. "
    "Its own sets have licences of their own. The size of the download was not verified.",
)
