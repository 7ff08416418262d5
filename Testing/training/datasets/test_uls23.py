"""ULS23: boxes around lesions, put back over the scans of KiTS, LiTS, Decathlon and DeepLesion."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctscreener.errors import InputError
from Testing.training.datasets import test_deeplesion, test_kits, test_lits
from Testing.training.datasets.fabricated import (
    CENTRE,
    SHAPE,
    SPACING,
    Grid,
    check_places,
    grid,
    labels_of,
    middle,
    read,
    write_nifti,
)
from training.datasets.uls23 import READER

FULL = "ULS23/annotations/ULS23/processed_data/fully_annotated"
NOVEL = "ULS23/annotations/ULS23/novel_data/ULS23_DeepLesion3D/labels"


def box(path: Path, scan: Grid, shift: np.ndarray | None = None) -> None:
    """A lesion in a box of its own, padded beyond the scan, with a fourth axis of length one."""
    turned = nib.as_closest_canonical(  # type: ignore[attr-defined]
        nib.Nifti1Image(np.zeros(scan.shape, np.int8), scan.affine)  # type: ignore[attr-defined]
    )
    assert turned.affine is not None
    start = np.linalg.inv(turned.affine) @ [*CENTRE, 1.0]
    affine = turned.affine.copy()
    affine[:3, 3] = (turned.affine @ [*(np.round(start[:3]) - 32), 1.0])[:3]
    inside = Grid((64, 64, 64), affine)
    values = (labels_of(inside.places()) == 2).astype(np.float32)[..., None]
    if shift is not None:
        affine = affine.copy()
        affine[:3, 3] += shift
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)  # type: ignore[attr-defined]


def test_lesions_of_full_scans_are_where_they_are(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    test_lits.write(tmp_path / "lits", 7)
    where = grid("IPL")
    box(tmp_path / FULL / "kits21/labels/kidney21_case_00003_lesion_01_sample_0.nii.gz", where)
    lits = grid("LPS")
    box(tmp_path / FULL / "LiTS/labels/liver_7_lesion_02_sample_0.nii.gz", lits)
    task = tmp_path / "Task06_Lung"
    write_nifti(task / "imagesTr" / "lung_001.nii.gz", grid("LAS"))
    write_nifti(task / "labelsTr" / "lung_001.nii.gz", grid("LAS"), labels_of, dtype="uint8")
    (task / "dataset.json").write_text(json.dumps({"labels": {"0": "x", "1": "cancer"}}))
    lung = tmp_path / FULL / "MDSC_Task06_Lung/labels"
    for number in (1, 3):
        box(lung / f"lung_001_lesion_{number:02}_sample_0.nii.gz", grid("LAS"))
    assert READER.fits(tmp_path)
    found = list(READER.examples(tmp_path))
    assert [one.name for one in found] == [
        "uls23_case_00003",
        "uls23_lits_volume-7",
        "uls23_lung_001",
    ]
    assert found[0].patient == "case_00003"
    for example in found:
        check_places(*read(READER, example), lesion=1)


def test_boxes_stay_on_a_scan_that_is_laid_right(tmp_path: Path) -> None:
    # The header of the original lies: the boxes lie with it.
    where, wrong = grid("LPS"), np.diag([-1.0, 1, 1, 1])
    test_lits.write(tmp_path / "lits", 7, where, wrong @ where.affine)
    path = tmp_path / FULL / "LiTS/labels/liver_7_lesion_02_sample_0.nii.gz"
    box(path, where)
    image = nib.load(path)  # type: ignore[attr-defined]
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), wrong @ image.affine), path)  # type: ignore[attr-defined]
    (example,) = READER.examples(tmp_path)
    check_places(*read(READER, example), lesion=1)


def test_lesions_of_deeplesion_are_where_they_are(tmp_path: Path) -> None:
    test_deeplesion.write(tmp_path / "deeplesion")
    first, last, key = test_deeplesion.FIRST, test_deeplesion.FIRST + SHAPE[0] - 1, 66
    cut = min(last - key, key - first)
    # The box counts from the last slice of a stack that was cut around the lesion's.
    corner = (np.array(SHAPE[::-1]) - 1) * SPACING[::-1] / 2
    shift = corner - [0, 0, (last - key - cut) * SPACING[0]]
    box(tmp_path / NOVEL / "000001_01_01_066_lesion_01.nii.gz", grid("LPI"), shift)
    (example,) = READER.examples(tmp_path)
    assert example.patient == "deeplesion_000001"
    scan, labels = read(READER, example)
    np.testing.assert_allclose(middle(labels > 0, scan.affine) - corner, CENTRE, atol=1)
    bright = middle(np.abs(scan.hu - 160) < 40, scan.affine)
    np.testing.assert_allclose(middle(labels > 0, scan.affine), bright, atol=1)


def test_a_lesion_beside_its_scan_is_told(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    path = tmp_path / FULL / "kits21/labels/kidney21_case_00003_lesion_01_sample_0.nii.gz"
    box(path, grid("IPL"), np.array([300.0, 0, 0]))
    (example,) = READER.examples(tmp_path)
    with pytest.raises(InputError, match="lesion_01") as error:
        read(READER, example)
    assert error.value.code == "datasets.place"
