"""KiTS: slice first, three layouts, kidney and cyst beside the tumour."""

from pathlib import Path

import numpy as np

from Testing.training.datasets.fabricated import (
    ORGAN,
    check_places,
    grid,
    labels_of,
    read,
    write_nifti,
)
from training.datasets.kits import READER
from training.datasets.masks import lesions_of


def write(case: Path, mask: str | None = "segmentation.nii.gz") -> None:
    # As the challenge stores them: slices first, from the head to the feet.
    where = grid("IPL")
    write_nifti(case / "imaging.nii.gz", where)
    if mask:
        write_nifti(case / mask, where, labels_of, dtype="uint8")


def test_tumours_are_where_they_are_and_kidneys_are_healthy(tmp_path: Path) -> None:
    write(tmp_path / "data" / "case_00003")
    write(tmp_path / "data" / "case_00210", None)
    (tmp_path / "data" / "kits.json").write_text("[]")
    assert READER.fits(tmp_path)
    assert READER.fits(tmp_path / "data")
    train, test = READER.examples(tmp_path)
    assert (train.name, train.patient, train.split) == ("case_00003", "case_00003", "train")
    assert (test.mask, test.split) == (None, "test")
    scan, labels = read(READER, train)
    check_places(scan, labels)
    assert (labels == ORGAN).any()
    lesions = lesions_of(READER, train, scan)
    assert lesions is not None
    assert set(np.unique(lesions)) == {0, READER.lesions}


def test_the_majority_of_annotators_is_taken(tmp_path: Path) -> None:
    case = tmp_path / "kits21" / "data" / "case_00003"
    write(case, "aggregated_MAJ_seg.nii.gz")
    for other in ("aggregated_AND_seg.nii.gz", "aggregated_OR_seg.nii.gz"):
        (case / other).touch()
    (example,) = READER.examples(tmp_path)
    check_places(*read(READER, example))
