"""Any folder of scans: NIfTI, NRRD, MetaImage or DICOM at any depth, with masks beside or without."""

from collections.abc import Iterator
from pathlib import Path

from training.data.scans_below import scans_below, stem, tail
from training.datasets.example import Example, Reader
from training.datasets.licence import Licence
from training.evaluation.layouts import mask_beside


def examples(folder: Path) -> Iterator[Example]:
    """Its scans, with the mask beside each; a name is a patient."""
    names: set[str] = set()
    for scan, series in sorted(scans_below(folder), key=lambda one: (one[0], one[1] or "")):
        mask = mask_beside(scan)
        name = stem(scan) if series is None else f"{stem(scan)}_{tail(series)}"
        if name in names:
            name = f"{stem(scan.parent)}_{name}"
        names.add(name)
        yield Example(name, scan, name, mask=mask if mask.is_file() else None, series=series)


READER = Reader(
    name="own",
    title="Any folder of scans, with masks beside or without",
    source="your own",
    size="any",
    command="nothing to fetch",
    layout="scans at any depth, NAME_lesion.nii.gz beside NAME.nii.gz or the DICOM folder NAME",
    fits=lambda folder: True,
    examples=examples,
    licence=Licence("as its owner says", False),
    masks="whatever is not 0 in NAME_lesion.nii.gz",
    notes="A name is a patient, unless --patient finds another in it.",
)
