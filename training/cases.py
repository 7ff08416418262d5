"""Cases: scans of which the lesions are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctscreener.errors import InputError
from ctscreener.settings import read_json
from training.phantoms.lesion_site import LABELS

MASK = "_lesion.nii.gz"


@dataclass(frozen=True)
class Case:
    """A scan with a mask of its lesions.

    Arguments:
        part: Name of its set.
        name: Name of the scan.
        scan: Its file or DICOM folder.
        mask: File of the mask.
        label: Value of the lesions that are sought; 0 for any. Voxels of other values above 0
            count neither as lesions nor as healthy.
    """

    part: str
    name: str
    scan: Path
    mask: Path
    label: int


def find_cases(
    sets: Sequence[Path], labels: Sequence[int] = (), limit: int | None = None
) -> list[Case]:
    """Find the scans that have a mask in each set.

    Arguments:
        sets: Folders.
        labels: Value of the lesions in each set's masks, 0 for any; empty to take the value of
            the family that a set of phantoms was made for, and any value in other sets.
        limit: Scans of each set at most.

    Raises:
        InputError: `evaluate.labels`, `evaluate.sets`, `evaluate.no_masks` or `scan.missing`.
    """
    if labels and len(labels) != len(sets):
        raise InputError(
            "evaluate.labels",
            f"Expected a label for each of {len(sets)} sets, found {len(labels)}.",
            "Give as many --labels as --sets, or none.",
        )
    names = [folder.resolve().name for folder in sets]
    if len(set(names)) < len(names):
        raise InputError(
            "evaluate.sets",
            f"Expected sets in folders of different names, found {', '.join(names)}.",
            "Rename one.",
        )
    cases = []
    for number, (part, folder) in enumerate(zip(names, sets, strict=True)):
        label = labels[number] if labels else label_of(folder)
        masks = sorted(path for path in folder.glob(f"*{MASK}") if path.name[0] != ".")
        if not masks:
            raise InputError(
                "evaluate.no_masks",
                f"Expected masks named *{MASK} in {folder}, found none.",
                "Check the folder.",
            )
        cases += [_case(part, mask, label) for mask in masks[:limit]]
    return cases


def label_of(folder: Path) -> int:
    """The value of the family that a set of phantoms was made for; 0, any, for other sets."""
    path = folder / "manifest.json"
    manifest = read_json(path) if path.is_file() else {}
    return LABELS.get(manifest.get("settings", {}).get("family"), 0)


def _case(part: str, mask: Path, label: int) -> Case:
    """The scan that a mask belongs to."""
    name = mask.name.removesuffix(MASK)
    for scan in (mask.with_name(f"{name}.nii.gz"), mask.with_name(name)):
        if scan.exists():
            return Case(part, name, scan, mask, label)
    raise InputError(
        "scan.missing",
        f"Expected the scan of {mask.name} beside it, found neither {name}.nii.gz nor a folder "
        f"{name}.",
        "Put it there, or remove the mask.",
    )
