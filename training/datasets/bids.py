"""Folders like those of BIDS, which has no rule for CT: `sub-01/[ses-01/][ct/]sub-01_ct.nii.gz`.

Gorgolewski et al., Scientific Data 3, 2016. Masks stand beside the scan or below `derivatives`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from training.datasets.example import Example, Reader
from training.datasets.folders import Level, folders_of, levels, some, stem
from training.datasets.licence import Licence

SUBJECT = r"sub-[0-9A-Za-z]+"
SCAN = re.compile(rf"({SUBJECT})(?:_(ses-[0-9A-Za-z]+))?(?:_.+)?_(?:ct|CT)\.nii(?:\.gz)?")
MASK = re.compile(
    rf"({SUBJECT})(?:_(ses-[0-9A-Za-z]+))?_.*(?:mask|dseg|seg|lesion|roi)\.nii(?:\.gz)?"
)


def fits(folder: Path) -> bool:
    """Whether subjects are in a folder, and CT of one of the first."""
    if not some(folder, SUBJECT):
        return False
    first = [one for one in folders_of(folder) if re.fullmatch(SUBJECT, one.name)][:4]
    return any(
        SCAN.fullmatch(name) for one in first for level in levels(one) for name in level.names
    )


def examples(folder: Path) -> Iterator[Example]:
    """Its CT, with the mask of the same subject and session."""
    derived = _masks(levels(folder / "derivatives")) if (folder / "derivatives").is_dir() else {}
    for subject in folders_of(folder):
        if not re.fullmatch(SUBJECT, subject.name):
            continue
        inside = list(levels(subject))
        masks = derived | _masks(inside)
        for level in inside:
            for name in level.names:
                if match := SCAN.fullmatch(name):
                    mask = masks.get(match.groups())
                    path = level.folder / name
                    yield Example(stem(path), path, match[1], mask=mask)


def _masks(found: Iterator[Level] | list[Level]) -> dict[tuple[str | None, ...], Path]:
    return {
        match.groups(): level.folder / name
        for level in found
        for name in level.names
        if (match := MASK.fullmatch(name))
    }


READER = Reader(
    name="bids",
    title="A folder like those of BIDS, with CT",
    source="your own",
    size="any",
    command="nothing to fetch",
    layout="sub-01/.../sub-01_ct.nii.gz",
    fits=fits,
    examples=examples,
    licence=Licence("as its owner says", False),
    masks="files named mask, dseg, seg, lesion or roi of the same subject and session",
)
