"""ULS23: lesions outlined in 3D, put back over the original scans.

de Grauw et al., Medical Image Analysis 102, 2025. Each mask is a box of 256 x 256 x 128 voxels
around one lesion, turned to RAS, in the frame of the original NIfTI. The boxes of DeepLesion count
from the corner of a stack that was cut around the slice of the lesion, as the challenge's own code
(`dl_preprocessing.py`) does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.files import read_labels
from ctscreener.nifti import read_nifti
from ctscreener.resampling import resample
from ctscreener.scan import Scan
from training.datasets import deeplesion, kits, lits, nnunet
from training.datasets.example import Example, Mask, Reader, ReadScan
from training.datasets.folders import below, numbered
from training.datasets.licence import CC_BY_NC_SA_4

BOXES = "annotations/ULS23"
BOX = r"(.+)_lesion_\d+(?:_sample_\d+)?\.nii\.gz"
KEPT = 0.5
"""Share of a lesion's volume that must be found again on the grid of its scan."""


@dataclass(frozen=True)
class Origin:
    """A set whose lesions are outlined.

    Arguments:
        boxes: Folder of the boxes, below that of the annotations.
        folder: Folder of the original set, beside the annotations.
        reader: How that is read.
        box: Pattern of the name of a box, and what makes the name of the original scan of it.
    """

    boxes: str
    folder: str
    reader: Reader
    box: tuple[str, str]


FULL = "processed_data/fully_annotated"
TASKS = {"Task06_Lung": "lung", "Task07_Pancreas": "pancreas", "Task10_Colon": "colon"}
ORIGINS = (
    Origin(f"{FULL}/kits21/labels", "kits", kits.READER, (r"kidney21_(case_\d{5})", r"\1")),
    Origin(f"{FULL}/LiTS/labels", "lits", lits.READER, (r"liver_(\d+)", r"lits_volume-\1")),
    *(
        Origin(f"{FULL}/MDSC_{task}/labels", task, nnunet.READER, (rf"({name}_\d+)", r"\1"))
        for task, name in TASKS.items()
    ),
)
STACKS = "novel_data/ULS23_DeepLesion3D/labels"
STACK = re.compile(r"(\d{6}_\d{2}_\d{2})_(\d+)_lesion_.*")
DEEPLESION = "deeplesion"


def fits(folder: Path) -> bool:
    """Whether the annotations of the challenge's repository are in a folder."""
    return (folder / BOXES).is_dir() or (folder / "ULS23" / BOXES).is_dir()


def examples(folder: Path) -> Iterator[Example]:
    """The original scans that are there and have lesions outlined."""
    root = below(folder, f"ULS23/{BOXES}", BOXES)
    for origin in ORIGINS:
        if (folder / origin.folder).is_dir():
            yield from _originals(origin, folder, root)
    if (folder / DEEPLESION).is_dir():
        yield from _stacks(folder / DEEPLESION, root / STACKS)


def _originals(origin: Origin, folder: Path, root: Path) -> Iterator[Example]:
    boxes: dict[str, list[Path]] = {}
    pattern, name = origin.box
    for start, path in numbered(root / origin.boxes, BOX):
        boxes.setdefault(re.sub(pattern, name, start), []).append(path)
    for one in origin.reader.examples(folder / origin.folder):
        if one.name in boxes:
            first, *others = boxes[one.name]
            # The original's own mask tells the reader of some sets how the scan lies.
            own = (one.mask,) if one.mask else ()
            yield replace(one, name=f"uls23_{one.name}", mask=first, more=(*own, *others))


def _stacks(folder: Path, boxes: Path) -> Iterator[Example]:
    """The stacks of DeepLesion with lesions outlined."""
    found: dict[tuple[str, int], list[Path]] = {}
    for _, path in numbered(boxes, r"(.+)\.nii\.gz"):
        if match := STACK.fullmatch(path.name):
            found.setdefault((match[1], int(match[2])), []).append(path)
    by_stack: dict[str, tuple[deeplesion.Lesion, dict[Path, int]]] = {}
    for lesion in deeplesion.lesions(folder):
        for path in found.get((lesion.series, lesion.key), ()):
            _, shifts = by_stack.setdefault(lesion.name, (lesion, {}))
            cut = min(lesion.last - lesion.key, lesion.key - lesion.first)
            shifts[path] = lesion.last - lesion.key - cut
    for lesion, shifts in by_stack.values():
        one = deeplesion.example_of(folder, lesion)
        first, *others = shifts
        slices = tuple((path.name, float(shift)) for path, shift in shifts.items())
        yield replace(
            one,
            name=f"uls23_{one.name}",
            mask=first,
            more=tuple(others),
            options=(*one.options, *slices),
        )


def read(example: Example, read: ReadScan) -> Scan:
    """Read an original scan as its own set does."""
    origin = _origin(example)
    if origin is None:
        return deeplesion.read(example, read)
    return origin.reader.read(replace(example, mask=_own(example)), read)


def _origin(example: Example) -> Origin | None:
    """The set of an example; None for DeepLesion."""
    assert example.mask is not None, "every example has lesions"
    return next((o for o in ORIGINS if example.mask.parent.match(o.boxes)), None)


def _own(example: Example) -> Path | None:
    """The mask that the original set has of a scan."""
    return next((path for path in example.more if not re.fullmatch(BOX, path.name)), None)


def mask(example: Example, scan: Scan) -> Mask:
    """Put the boxes of all lesions of a scan on its grid: 1 in any lesion.

    Raises:
        InputError: `datasets.place` for a lesion that does not lie in the scan, or one of
            `read_labels`.
    """
    assert example.mask is not None, "every example has lesions"
    stack = _origin(example) is None
    # A scan that its reader has laid right is where its file says, as far as boxes know.
    affine = scan.affine if stack else read_nifti(example.scan).affine
    labels = np.zeros(scan.shape, np.uint8)
    for path in (example.mask, *example.more):
        if path == _own(example):
            continue
        box, where = read_labels(path)
        shift = np.eye(4)
        if stack:
            shift[2, 3] = example.option(path.name, 0.0) * scan.spacing[0]
        lesion = resample(box, shift @ where, affine, scan.shape, 0, nearest=True) > 0
        volumes = [
            np.count_nonzero(one) * abs(np.linalg.det(at[:3, :3]))
            for one, at in ((box, where), (lesion, affine))
        ]
        if volumes[1] < KEPT * volumes[0]:
            raise InputError(
                "datasets.place",
                f"Expected the lesion of {path.name} within {example.name}, found "
                f"{volumes[1]:.0f} of {volumes[0]:.0f} mm3 of it there.",
                "Check that the original set is the one that was outlined.",
            )
        labels[lesion] = 1
    return labels, scan.affine


READER = Reader(
    name="uls23",
    title="ULS23: lesions of all parts of the body, outlined over the original scans",
    source="https://github.com/DIAGNijmegen/ULS23 (masks), and the original sets",
    size="some 6,400 fully outlined lesions",
    command="git clone https://github.com/DIAGNijmegen/ULS23 FOLDER/ULS23; find FOLDER/ULS23 -name "
    "'*.nii.gz.zip' -execdir unzip -oq {} ';'; link the original sets as FOLDER/kits, lits, "
    "deeplesion, Task06_Lung, Task07_Pancreas, Task10_Colon",
    layout="ULS23/annotations/ULS23/... beside kits, lits, deeplesion or Task06_Lung, ...",
    fits=fits,
    examples=examples,
    licence=CC_BY_NC_SA_4,
    read=read,
    mask=mask,
    masks="1 in any outlined lesion; others of the same scan may not be outlined",
    notes="The licences of the original sets hold as well. Its numbers of LIDC-IDRI are not those "
    "of the patients (compared on five), so that these masks are not used; nor are those of "
    "Radboudumc, NIH and LNDb, whose originals no reader here reads. The place of the boxes was "
    "compared with the affines of KiTS; that of DeepLesion rests on the challenge's code.",
)
