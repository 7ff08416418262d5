"""Finding the cases of folders and data sets: what their labels mean, whose scans they are."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ctscreener.errors import InputError
from ctscreener.settings import read_json
from training.data.sources import Source, find_sources
from training.datasets.example import Reader
from training.datasets.readers import Named, named
from training.evaluation.case import UNLABELLED, Case, Others
from training.evaluation.layouts import find_pairs, lesion_value, mask_beside
from training.phantoms.lesion_site import LABELS

INSERTED = "ctscreener-inserted"
"""Format of the manifest of a set that the stage `insert` made."""
PLAIN = ("nnunet", "own")
"""Layouts that say nothing of patients but the names of scans."""


def find_cases(
    sets: Sequence[Path],
    labels: Sequence[int] = (),
    limit: int | None = None,
    others: Sequence[Others] = (),
    patient: str = "(.*)",
) -> list[Case]:
    """Find the scans that have a mask in each set.

    Arguments:
        sets: Data sets, NAME:FOLDER or a folder that looks like one; or folders with
            `<name>_lesion.nii.gz` beside each scan, or in the layout of nnU-Net or of the Medical
            Segmentation Decathlon, which a file `dataset.json` tells.
        labels: Value of the lesions in each set's masks, 0 for any; empty to take the value of
            the family that a set of phantoms was made for, the only one that `dataset.json`
            names, and any value in other sets.
        limit: Scans of each set at most.
        others: What other values are in each set; empty for `healthy` where a `dataset.json`
            names them, since they are organs there, and `ignored` elsewhere.
        patient: Regular expression whose first group is the patient in the name of a scan.

    Raises:
        InputError: `evaluate.labels`, `evaluate.sets`, `evaluate.patient`, `evaluate.no_masks`,
            `evaluate.no_lesions`, `evaluate.layout`, `scan.missing` or one of `datasets.*`.
    """
    for flag, given in (("labels", labels), ("others", others)):
        if given and len(given) != len(sets):
            raise InputError(
                "evaluate.labels",
                f"Expected one of --{flag} for each of {len(sets)} sets, found {len(given)}.",
                f"Give as many --{flag} as --sets, or none.",
            )
    known = [_set_of(folder) for folder in sets]
    names = [
        one.label if one and ":" in str(folder) else folder.resolve().name
        for one, folder in zip(known, sets, strict=True)
    ]
    if len({*names, UNLABELLED}) < len(names) + 1:
        raise InputError(
            "evaluate.sets",
            f"Expected sets in folders of different names, none of them {UNLABELLED}, found "
            f"{', '.join(names)}.",
            "Rename one.",
        )
    cases = []
    for number, (part, folder) in enumerate(zip(names, sets, strict=True)):
        if one := known[number]:
            given = labels[number] if labels else None, others[number] if others else None
            cases += _of_set(part, one, folder, *given, patient)[:limit]
            continue
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


def _set_of(folder: Path) -> Named | None:
    """The data set that is meant; None for those layouts whose masks are beside their scans."""
    one = named(folder)
    plain = one is not None and one.reader.name in PLAIN and ":" not in str(folder)
    return None if plain else one


def _of_set(
    part: str, asked: Named, folder: Path, label: int | None, others: Others | None, patient: str
) -> list[Case]:
    """The scans of a data set that have a mask."""
    reader = asked.reader
    if reader.lesions is None or not reader.masks:
        raise InputError(
            "evaluate.no_lesions",
            f"Expected a set whose masks show lesions, found {reader.name}, whose masks show "
            f"{reader.masks or 'nothing, as it has none'}.",
            "Give it by --unlabelled, or name another set.",
        )
    if label is None:
        label = reader.lesions or label_of(asked.folder)
    plain = (asked.folder / "dataset.json").is_file() and not reader.organs
    rest = others or ("healthy" if plain else "ignored")
    cases = [
        Case(
            part,
            source.name,
            source.path,
            source.example.mask,
            label,
            rest,
            whose(source, patient),
            series=source.series,
            source=source,
            organs=others is None,
        )
        for source in find_sources([folder])
        if source.example and source.example.mask
    ]
    if not cases:
        raise InputError(
            "evaluate.no_masks",
            f"Expected scans with {reader.masks} in {asked.folder}, found none.",
            "Check the folder: python training/run.py datasets check NAME FOLDER.",
        )
    return sorted(cases, key=lambda case: case.name)


def whose(source: Source, pattern: str) -> str:
    """The patient of a source: as its set says, else by its name.

    Raises:
        InputError: `evaluate.patient`.
    """
    if source.example and source.dataset not in PLAIN:
        return source.example.patient
    return patient_of(source.name, pattern)


def find_unlabelled(paths: Sequence[Path], patient: str = "(.*)") -> list[Case]:
    """Find scans, with or without masks, in which findings and rarities are counted.

    Arguments:
        paths: Scans, DICOM folders, folders that hold such at any depth, or data sets. A
            `<name>_lesion.nii.gz` beside one, or the set, tells what lesions are known.
        patient: As for `find_cases`.

    Raises:
        InputError: `evaluate.patient`, `prepare.missing` or `prepare.no_scans`.
    """
    if not paths:
        return []
    cases = []
    for source in find_sources(paths):
        patients = whose(source, patient)
        label, known = _known(source.reader, source)
        case = Case(UNLABELLED, source.name, source.path, known, label, patient=patients)
        cases.append(replace(case, series=source.series, source=source))
    return cases


def _known(reader: Reader | None, source: Source) -> tuple[int, Path | None]:
    """Value of the lesions of a source, and what tells of them."""
    if reader is None or source.example is None:
        mask = mask_beside(source.path)
        return 0, mask if mask.is_file() else None
    return reader.lesions or 0, source.example.mask if reader.lesions is not None else None


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
