"""NLST: low-dose chest CT for screening; the longest axial series of each patient.

National Lung Screening Trial Research Team, Radiology 258(1), 2011. Patients have up to three
studies with several reconstructions each; counting files finds the longest without reading them.
"""

from collections.abc import Iterator
from pathlib import Path

from ctscreener.errors import InputError
from training.datasets.example import Example, Reader
from training.datasets.folders import (
    Level,
    below,
    first_image,
    is_axial,
    levels,
    numbered,
    slices_of,
    some,
)
from training.datasets.licence import CC_BY_4

PATIENT = r"([12]\d{5})"
"""Numbers of its patients have six digits."""


def fits(folder: Path) -> bool:
    """Whether patients are in a folder, or in one in it, and none but patients."""
    root = below(folder, "NLST", "nlst")
    return some(root, PATIENT) and not some(root, r".*\.nii(\.gz)?|dataset\.json")


def examples(folder: Path) -> Iterator[Example]:
    """One series a patient."""
    for patient, path in numbered(below(folder, "NLST", "nlst"), PATIENT):
        found = [level for level in levels(path) if slices_of(level)]
        found.sort(key=lambda level: -len(slices_of(level)))
        longest = next((level for level in found if _is_scan(level)), None)
        if longest is not None:
            yield Example(patient, longest.folder, patient)
        elif found:
            yield Example(patient, found[0].folder, patient, unused="no axial CT series")


def _is_scan(level: Level) -> bool:
    """Whether the slices of a folder are axial CT, by the first of them."""
    try:
        image = first_image(level)
    except InputError:
        # Damaged: reading it says so.
        return True
    return image is not None and image.modality == "CT" and not image.scout and is_axial(image)


READER = Reader(
    name="nlst",
    title="NLST: low-dose chest CT for screening, one scan a patient",
    source="https://www.cancerimagingarchive.net/collection/nlst",
    size="26,254 patients, 11.3 TB; the paper uses 25,652 scans",
    command="pip install idc-index; idc download nlst --download-dir FOLDER",
    layout="NLST/<patient of six digits>/<study>/<series>/*.dcm",
    fits=fits,
    examples=examples,
    licence=CC_BY_4,
    notes="Of each patient the axial series with the most files is taken, whatever its study or "
    "kernel; the others are not used.",
)
