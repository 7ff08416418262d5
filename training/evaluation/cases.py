"""Cases: scans of which the lesions are known."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ctscreener.errors import InputError
from ctscreener.files import read_labels, same_grid
from ctscreener.resampling import resample
from ctscreener.scan import Scan
from ctscreener.settings import read_json
from training.data.sources import find_sources
from training.evaluation.layouts import find_pairs, lesion_value, mask_beside
from training.phantoms.lesion_site import LABELS

Others = Literal["ignored", "healthy"]
"""What mask values are that are neither 0 nor the lesion's: lesions of another kind, which count
neither as lesions nor as healthy, or healthy tissue, such as the organ that holds the lesion."""
INSERTED = "ctscreener-inserted"
"""Format of the manifest of a set that the stage `insert` made."""
UNLABELLED = "unlabelled"
"""Name of the set of scans in which nobody looked for lesions."""


@dataclass(frozen=True)
class Case:
    """A scan with a mask of its lesions, or one in which none is known.

    Arguments:
        part: Name of its set.
        name: Name of the scan.
        scan: Its file or DICOM folder.
        mask: File of the mask; None where no lesion is known.
        label: Value of the lesions that are sought; 0 for any.
        others: What other values above 0 are.
        patient: Whose scan it is.
        origin: SHA-256 of the scan that lesions were put into; empty for a scan as it came.
        series: SeriesInstanceUID, where its folder holds several.
    """

    part: str
    name: str
    scan: Path
    mask: Path | None
    label: int = 0
    others: Others = "ignored"
    patient: str = ""
    origin: str = ""
    series: str | None = None

    @property
    def unlabelled(self) -> bool:
        """Whether findings and rarities alone are measured, as nobody looked for lesions."""
        return self.part == UNLABELLED


def find_cases(
    sets: Sequence[Path],
    labels: Sequence[int] = (),
    limit: int | None = None,
    others: Sequence[Others] = (),
    patient: str = "(.*)",
) -> list[Case]:
    """Find the scans that have a mask in each set.

    Arguments:
        sets: Folders: `<name>_lesion.nii.gz` beside each scan, or the layout of nnU-Net or of the
            Medical Segmentation Decathlon, which a file `dataset.json` tells.
        labels: Value of the lesions in each set's masks, 0 for any; empty to take the value of
            the family that a set of phantoms was made for, the only one that `dataset.json`
            names, and any value in other sets.
        limit: Scans of each set at most.
        others: What other values are in each set; empty for `healthy` where a `dataset.json`
            names them, since they are organs there, and `ignored` elsewhere.
        patient: Regular expression whose first group is the patient in the name of a scan.

    Raises:
        InputError: `evaluate.labels`, `evaluate.sets`, `evaluate.patient`, `evaluate.no_masks`,
            `evaluate.layout` or `scan.missing`.
    """
    for flag, given in (("labels", labels), ("others", others)):
        if given and len(given) != len(sets):
            raise InputError(
                "evaluate.labels",
                f"Expected one of --{flag} for each of {len(sets)} sets, found {len(given)}.",
                f"Give as many --{flag} as --sets, or none.",
            )
    names = [folder.resolve().name for folder in sets]
    if len({*names, UNLABELLED}) < len(names) + 1:
        raise InputError(
            "evaluate.sets",
            f"Expected sets in folders of different names, none of them {UNLABELLED}, found "
            f"{', '.join(names)}.",
            "Rename one.",
        )
    cases = []
    for number, (part, folder) in enumerate(zip(names, sets, strict=True)):
        label = labels[number] if labels else label_of(folder)
        organs = (folder / "dataset.json").is_file()
        rest = others[number] if others else ("healthy" if organs else "ignored")
        origins = origins_of(folder)
        for name, scan, mask in find_pairs(folder)[:limit]:
            # Copies of a scan that differ in their lesions are of one patient.
            source, origin = origins.get(name, (name, ""))
            whose = patient_of(source, patient)
            cases.append(Case(part, name, scan, mask, label, rest, whose, origin))
    return cases


def find_unlabelled(paths: Sequence[Path], patient: str = "(.*)") -> list[Case]:
    """Find scans, with or without masks, in which findings and rarities are counted.

    Arguments:
        paths: Scans, DICOM folders, or folders that hold such at any depth. A
            `<name>_lesion.nii.gz` beside one tells what lesions are known.
        patient: As for `find_cases`.

    Raises:
        InputError: `evaluate.patient`, `prepare.missing` or `prepare.no_scans`.
    """
    if not paths:
        return []
    cases = []
    for source in find_sources(paths):
        mask = mask_beside(source.path)
        known = mask if mask.is_file() else None
        whose = patient_of(source.name, patient)
        cases.append(
            Case(UNLABELLED, source.name, source.path, known, patient=whose, series=source.series)
        )
    return cases


def label_of(folder: Path) -> int:
    """The value of the lesions in a set's masks, as far as the set says; 0, any, otherwise."""
    if (folder / "dataset.json").is_file():
        return lesion_value(folder)
    return LABELS.get(family_of(folder) or "", 0)


def family_of(folder: Path) -> str | None:
    """The family that a set of phantoms was made for; none for other sets."""
    return _manifest(folder).get("settings", {}).get("family")


def origins_of(folder: Path) -> dict[str, tuple[str, str]]:
    """Name and SHA-256 of the scan that lesions were put into, for each scan of such a set."""
    manifest = _manifest(folder)
    scans = manifest["scans"] if manifest.get("format") == INSERTED else []
    return {scan["name"]: (scan["source"], scan["source_sha256"]) for scan in scans}


def _manifest(folder: Path) -> dict[str, Any]:
    """What a set of phantoms, or of scans with lesions put into them, says of itself."""
    path = folder / "manifest.json"
    return read_json(path) if path.is_file() else {}


def patient_of(name: str, pattern: str) -> str:
    """Whose scan a name stands for.

    Raises:
        InputError: `evaluate.patient`.

    Example:
        >>> patient_of("LIDC-0007_scan2", "(.*)_scan.*")
        'LIDC-0007'
    """
    try:
        found = re.fullmatch(pattern, name)
        if found and found.groups():
            return found[1]
        problem = "no group that matches"
    except re.error as error:
        problem = str(error)
    raise InputError(
        "evaluate.patient",
        f"Expected --patient to find a patient in the name {name}, found {pattern!r}: {problem}.",
        "Give a regular expression whose first group is the patient, such as '(.*)_scan.*'.",
    )


def read_case_mask(case: Case, scan: Scan, resampled: bool) -> np.ndarray:
    """Read the mask of a case on the grid of its scan.

    Arguments:
        case: The case.
        scan: Its scan.
        resampled: Take the nearest voxel of a mask on another grid, in place of refusing it.

    Returns:
        Labels, uint8, in the shape of the scan; nothing but 0 where no lesion is known.

    Raises:
        InputError: `mask.grid`, `mask.values` or `scan.*`.
    """
    if case.mask is None:
        return np.zeros(scan.shape, np.uint8)
    labels, affine = read_labels(case.mask)
    if same_grid(labels.shape, affine, scan.shape, scan.affine):
        return labels
    if resampled:
        return resample(labels, affine, scan.affine, scan.shape, 0, nearest=True)
    raise InputError(
        "mask.grid",
        f"Expected {case.mask.name} on the {scan.shape} voxels of its scan, found {labels.shape} "
        "or another place.",
        "Give --resample-masks to take the nearest voxels, or resample the mask yourself.",
    )
