"""LiTS: contrast CT of the abdomen with livers and their tumours, and its known faults.

Bilic et al., Medical Image Analysis 84, 2023. Numbers 28 to 47 (3D-IRCADb) say of themselves that
their voxels are cubes of 1 mm, in no direction: neither is true (LITS-CHALLENGE issue 14). The
masks of 48 to 52 are mirrored from left to right (so the code of the paper's authors, cotomka).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.files import read_labels
from ctscreener.nifti import read_nifti
from ctscreener.scan import Scan
from training.datasets.anatomy import lies_left, mended_affine, mirrored
from training.datasets.example import Example, Mask, Reader, ReadScan
from training.datasets.folders import Level, levels, numbered
from training.datasets.licence import CC_BY_NC_ND_4

SCAN = r"((?:test-)?volume-\d+)\.nii(?:\.gz)?"
UNSIZED = range(28, 48)
MIRRORED = range(48, 53)
LIVER, TUMOUR = 1, 2
SAME = 1e-3
UNTRUE = "its header says voxels of 1 mm, which is not their size (3D-IRCADb has the true ones)"
OBLIQUE = "its axes do not run along the body's"


def fits(folder: Path) -> bool:
    """Whether volumes are in a folder, or in a few in it, as its two archives have them."""
    for number, level in enumerate(levels(folder)):
        if any(name.startswith(("volume-", "test-volume-")) for name in level.names):
            return bool(_volumes(level))
        if number > 12:
            return False
    return False


def _volumes(level: Level) -> list[tuple[str, Path]]:
    return numbered(level.folder, SCAN)


def examples(folder: Path, paper: bool = False) -> Iterator[Example]:
    """Its volumes, by number; those of no true size are named as not used.

    Arguments:
        folder: The folder.
        paper: Leave out what the paper's authors leave out instead: scans whose axes do not run
            along the body's.
    """
    volumes, masks = {}, {}
    for level in levels(folder):
        volumes |= dict(_volumes(level))
        masks |= dict(numbered(level.folder, r"segmentation-(\d+)\.nii(?:\.gz)?"))
    for name in sorted(volumes, key=lambda name: (name[0] == "t", _number(name))):
        path, number = volumes[name], _number(name)
        test = name.startswith("test-")
        mask = None if test else masks.get(str(number))
        split = "test" if test else "train"
        unused = _unused(name, path, paper)
        yield Example(f"lits_{name}", path, f"lits_{name}", split, mask, unused=unused)


def _number(name: str) -> int:
    return int(name.rsplit("-", 1)[1])


def _unused(name: str, path: Path, paper: bool) -> str:
    """Say why a volume is not used, by its header."""
    try:
        affine = read_nifti(path).affine
    except (InputError, OSError):
        # Damaged: reading it says so.
        return ""
    if paper:
        return "" if (np.abs(affine[:3, :3]) > SAME).sum() == 3 else OBLIQUE
    untrue = name.startswith("volume") and _number(name) in UNSIZED and _is_unit(affine)
    return UNTRUE if untrue else ""


def _is_unit(affine: np.ndarray) -> bool:
    """Whether a header says cubes of 1 mm along the axes."""
    axes = np.abs(affine[:3, :3])
    return bool(np.allclose(np.sort(axes, axis=0), [[0, 0, 0], [0, 0, 0], [1, 1, 1]], atol=SAME))


def read(example: Example, read: ReadScan) -> Scan:
    """Read a volume, laid right by its liver, spine and lungs where its header is clearly wrong."""
    scan = read(example.scan, example.series)
    if example.mask is None:
        return scan
    labels, _ = read_labels(example.mask)
    if labels.shape != scan.shape:
        return scan
    return Scan(scan.hu, mended_affine(scan, _turned(example, scan, labels) > 0))


def mask(example: Example, scan: Scan) -> Mask:
    """Read a mask; it lies on the voxels of its scan, whatever its own header says.

    Raises:
        InputError: `mask.grid`, `mask.values` or `scan.*`.
    """
    assert example.mask is not None, "asked of examples with a mask alone"
    labels, affine = read_labels(example.mask)
    if labels.shape != scan.shape:
        return labels, affine
    return _turned(example, scan, labels), scan.affine


def _turned(example: Example, scan: Scan, labels: np.ndarray) -> np.ndarray:
    """Turn a mask round that is known to be mirrored, unless someone has done so before."""
    known = _number(example.name) in MIRRORED
    return mirrored(labels, scan.affine) if known and lies_left(scan, labels > 0) else labels


READER = Reader(
    name="lits",
    title="LiTS: abdominal CT with contrast, liver tumours outlined",
    source="https://competitions.codalab.org/competitions/17094",
    size="131 scans with masks, 70 without; 35 GB",
    command="unzip Training_Batch1.zip and Training_Batch2.zip into FOLDER",
    layout="volume-0.nii with segmentation-0.nii, at any depth",
    fits=fits,
    examples=examples,
    licence=CC_BY_NC_ND_4,
    read=read,
    mask=mask,
    masks="1 liver, 2 tumour",
    lesions=TUMOUR,
    organs=(LIVER,),
    paper_set="LiTS",
    notes="28 to 47 are left out, as nothing tells the size of their voxels, which leaves 111. A "
    "scan whose header has the liver on the left, the spine in front or the lungs below is mirrored.",
)
PAPER = replace(
    READER,
    name="lits-paper",
    title="LiTS as the paper's authors take it: none whose axes are oblique, 28 to 47 kept",
    fits=lambda folder: False,
    examples=partial(examples, paper=True),
    notes="The paper counts 117. 28 to 47 have voxels of an untrue size here. That these rules give "
    "117 was read in the authors' code, not counted on the data.",
)
