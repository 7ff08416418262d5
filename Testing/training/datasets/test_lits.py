"""LiTS: two archives, sizes that are not true, headers and masks that are mirrored."""

from pathlib import Path

import numpy as np
import pytest

from ctscreener.files import read_labels, read_scan
from Testing.training.datasets.fabricated import (
    CENTRE,
    Grid,
    check_places,
    grid,
    labels_of,
    middle,
    read,
    write_nifti,
)
from training.datasets.lits import PAPER, READER


def write(
    folder: Path, number: int, where: Grid | None = None, header: np.ndarray | None = None
) -> None:
    where = where or grid("LPS")
    write_nifti(folder / f"volume-{number}.nii", where, header=header)
    write_nifti(folder / f"segmentation-{number}.nii", where, labels_of, header, "uint8")


def test_tumours_are_where_they_are_in_both_archives(tmp_path: Path) -> None:
    write(tmp_path / "Training Batch 1", 3)
    write(tmp_path / "media" / "nas" / "Training Batch 2", 30, grid("RAS"))
    write_nifti(tmp_path / "LITS-Challenge-Test-Data" / "test-volume-30.nii", grid("LPS"))
    assert READER.fits(tmp_path)
    first, second, test = READER.examples(tmp_path)
    assert [first.name, test.name] == ["lits_volume-3", "lits_test-volume-30"]
    assert (test.mask, test.split) == (None, "test")
    for example in (first, second):
        check_places(*read(READER, example))


@pytest.mark.parametrize("mirror", [(-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)])
def test_headers_that_lay_the_body_wrong_are_mended(tmp_path: Path, mirror: tuple) -> None:
    where = grid("LPS")
    wrong = np.diag([*mirror, 1.0]) @ where.affine
    write(tmp_path, 5, where, wrong)
    (example,) = READER.examples(tmp_path)
    as_told = read_scan(example.scan)
    assert np.linalg.norm(middle(as_told.hu > 120, as_told.affine) - CENTRE) > 20
    check_places(*read(READER, example))


def test_cubes_of_1_mm_are_left_out_and_the_paper_keeps_them(tmp_path: Path) -> None:
    where = grid("LPS")
    unit = np.diag([-1.0, -1, 1, 1])
    write(tmp_path, 27, where, unit)
    write(tmp_path, 28, where, unit)
    write(tmp_path, 47, where)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    write(tmp_path, 60, where, turn @ where.affine)
    examples = list(READER.examples(tmp_path))
    assert [bool(one.unused) for one in examples] == [False, True, False, False]
    assert "not their size" in examples[1].unused
    assert [bool(one.unused) for one in PAPER.examples(tmp_path)] == [False, False, False, True]


@pytest.mark.parametrize(("number", "turned"), [(48, True), (52, True), (53, False)])
def test_known_mirrored_masks_are_turned_round(tmp_path: Path, number: int, turned: bool) -> None:
    where = grid("LPS", shift=(9, 0, 0))
    write_nifti(tmp_path / f"volume-{number}.nii", where)
    flipped = Grid(where.shape, where.affine @ np.diag([-1.0, 1, 1, 1]))
    flipped.affine[:3, 3] += where.affine[:3, 0] * (where.shape[0] - 1)
    write_nifti(tmp_path / f"segmentation-{number}.nii", flipped, labels_of, where.affine, "uint8")
    (example,) = READER.examples(tmp_path)
    scan, labels = read(READER, example)
    assert example.mask is not None
    stored = read_labels(example.mask)[0]
    if turned:
        check_places(scan, labels)
    else:
        np.testing.assert_array_equal(labels, stored)


def test_a_right_mask_of_a_known_number_stays(tmp_path: Path) -> None:
    write(tmp_path, 50, grid("LPS", shift=(9, 0, 0)))
    (example,) = READER.examples(tmp_path)
    check_places(*read(READER, example))
