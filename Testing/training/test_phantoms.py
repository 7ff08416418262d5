"""Tests of the phantoms' anatomy and lesions."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from ctscreener.scan import Scan
from training.phantoms import organs
from training.phantoms.canvas import Canvas
from training.phantoms.fields import cubic_matrix, smooth_max, smooth_min, stretch
from training.phantoms.lesion_site import LABELS
from training.phantoms.lesions import FAMILIES as TABLE
from training.phantoms.lesions import Family
from training.phantoms.patient import TISSUES, draw_patient
from training.phantoms.phantom import Phantom, image_patient, make_canvas, make_phantom
from training.phantoms.tubes import grow_tree, spline

FAMILIES = [f for f in get_args(Family) if f in LABELS]
ONLY_INSERTED = {"lung_mass", "pleural_effusion"}
"""More families would change every mixed phantom that was made so far."""
HOMES = {
    "lung_nodule": {organs.LUNG},
    "lung_opacity": {organs.LUNG},
    "kidney_tumour": {organs.KIDNEY, organs.FAT},
    "liver_tumour": {organs.LIVER},
}


def test_the_table_of_families_has_a_row_for_each_label_and_each_word() -> None:
    assert list(TABLE) == [f for f in LABELS if f not in ONLY_INSERTED], "mixed keeps it"
    assert set(get_args(Family)) == {"mixed", "none", *TABLE} - {"other"}


def coarse(family: Family, seed: int, prevalence: float = 0.1) -> Phantom:
    rng = np.random.default_rng(seed)
    return make_phantom(rng, "mixed", family, prevalence, coarsen=2.2)


@pytest.fixture(scope="module")
def torso() -> Phantom:
    """A quiet scan without lesions, venous phase, of chest and abdomen."""
    rng = np.random.default_rng(5)
    patient = replace(
        draw_patient(rng, "torso"),
        phase="portal",
        hu={name: mean for name, (mean, _) in TISSUES["portal"].items()},
        low=-390.0,
        high=205.0,
        spacing=(5.0, 3.0, 3.0),
        noise=5.0,
        age=0.3,
        arms="raised",
        crop=0.0,
        blur=0.3,
    )

    def no_lesions(canvas: Canvas, *_: object) -> tuple[np.ndarray, list[dict]]:
        return np.zeros(canvas.shape, np.uint8), []

    return image_patient(patient, no_lesions, rng)


def middle_hu(phantom: Phantom, organ: int) -> float:
    return float(np.median(phantom.scan.hu[phantom.organ == organ]))


def test_the_same_generator_makes_the_same_phantom() -> None:
    first, second = coarse("mixed", 3, 1.0), coarse("mixed", 3, 1.0)
    assert np.array_equal(first.scan.hu, second.scan.hu)
    assert np.array_equal(first.lesions, second.lesions)
    assert np.array_equal(first.scan.affine, second.scan.affine)
    assert first.description == second.description
    assert first.lesions.any()


def test_another_generator_makes_another_body() -> None:
    first, second = coarse("none", 1), coarse("none", 2)
    assert first.description["fat_mm"] != second.description["fat_mm"]
    assert first.scan.shape != second.scan.shape


@pytest.mark.parametrize(
    ("organ", "low", "high"),
    [
        (organs.LUNG, -920, -740),
        (organs.FAT, -125, -80),
        (organs.MUSCLE, 30, 80),
        (organs.LIVER, 85, 130),
        (organs.SPLEEN, 95, 140),
        (organs.KIDNEY, 110, 200),
        (organs.HEART, 80, 170),
        (organs.VESSEL, 80, 180),
        (organs.BONE, 90, 700),
        (organs.BLADDER, -15, 60),
        (organs.AIR, -1024, -900),
    ],
)
def test_each_organ_has_the_density_of_its_tissue(
    torso: Phantom, organ: int, low: int, high: int
) -> None:
    assert (torso.organ == organ).sum() > 20
    assert low < middle_hu(torso, organ) < high


@pytest.mark.parametrize(
    ("organ", "low", "high"),
    [
        (organs.LUNG, 1500, 7000),
        (organs.LIVER, 700, 3000),
        (organs.SPLEEN, 60, 600),
        (organs.KIDNEY, 120, 700),
        (organs.HEART, 200, 1200),
    ],
)
def test_organs_have_plausible_volumes_in_ml(
    torso: Phantom, organ: int, low: int, high: int
) -> None:
    volume = (torso.organ == organ).sum() * np.prod(torso.scan.spacing) / 1000
    assert low < volume < high


def test_organs_lie_on_the_right_side_of_the_patient(torso: Phantom) -> None:
    def place(organ: int) -> np.ndarray:
        voxel = np.argwhere(torso.organ == organ).mean(0)
        return torso.scan.affine[:3] @ [*voxel, 1]

    liver, spleen, lung = place(organs.LIVER), place(organs.SPLEEN), place(organs.LUNG)
    assert liver[0] > spleen[0] + 80, "in RAS the first axis grows to the patient's right"
    assert lung[2] > liver[2] + 60
    assert place(organs.BONE)[1] < place(organs.BOWEL)[1]


def test_the_scan_is_hu_in_whole_numbers_that_fit_int16(torso: Phantom) -> None:
    hu = torso.scan.hu
    assert isinstance(torso.scan, Scan)
    assert hu.dtype == np.float32
    assert hu.min() >= -1024
    assert hu.max() <= 3071
    assert np.array_equal(hu, np.round(hu))
    assert np.isfinite(hu).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_scan_of_a_family_holds_that_family_inside_its_organ(family: Family) -> None:
    phantom = coarse(family, 1)
    assert phantom.lesions.dtype == np.uint8
    assert phantom.lesions.shape == phantom.scan.shape
    assert set(np.unique(phantom.lesions)) == {0, LABELS[family]}
    inside = np.isin(phantom.organ[phantom.lesions > 0], list(HOMES[family]))
    assert inside.mean() > (0.8 if family == "kidney_tumour" else 0.95)
    found = phantom.description["lesions"]
    assert 1 <= len(found) <= 4
    assert {lesion["family"] for lesion in found} == {family}


def test_a_family_of_none_has_no_lesions() -> None:
    phantom = coarse("none", 0, prevalence=1.0)
    assert not phantom.lesions.any()
    assert phantom.description["lesions"] == []


def test_a_nodule_is_denser_than_the_lung_around_it() -> None:
    phantom = coarse("lung_nodule", 4)
    lung = phantom.scan.hu[(phantom.organ == organs.LUNG) & (phantom.lesions == 0)]
    assert np.median(phantom.scan.hu[phantom.lesions > 0]) > np.median(lung) + 150


def test_the_canvas_finds_the_voxel_of_a_point_of_the_body() -> None:
    patient = draw_patient(np.random.default_rng(0), "abdomen")
    patient = replace(patient, spacing=(6.0, 4.0, 4.0))
    canvas = make_canvas(patient, np.random.default_rng(1))
    wanted = np.array([[-60.0, 44.0, -142.0], [10.0, -20.0, -100.0]])
    for point, voxel in zip(wanted, np.round(canvas.voxels(wanted)).astype(int), strict=True):
        at = tuple(voxel)
        here = [canvas.full.x[at], canvas.full.y[at], canvas.full.z[at]]
        assert np.abs(np.array(here) - point).max() < 4.0


def test_interpolation_keeps_straight_lines() -> None:
    fine = np.linspace(1, 5, 17)
    matrix = cubic_matrix(fine, 8)
    assert np.allclose(matrix @ np.arange(8), fine, atol=1e-5)
    coarse_volume = np.arange(8)[:, None, None] + 10 * np.arange(8)[:, None] + 100 * np.arange(8)
    value = stretch(coarse_volume, (matrix, matrix, matrix))
    assert np.allclose(value[3, 5, 7], fine[3] + 10 * fine[5] + 100 * fine[7], atol=1e-3)


def test_rounded_extremes_bracket_the_plain_ones() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=100), rng.normal(size=100)
    assert (smooth_max(a, b, 1.0) >= np.maximum(a, b)).all()
    assert (smooth_min(a, b, 1.0) <= np.minimum(a, b)).all()
    assert np.allclose(smooth_max(a, a + 5, 1.0), a + 5)


def test_a_tree_reaches_its_ends_and_thins_out() -> None:
    rng = np.random.default_rng(0)
    ends = rng.uniform(-50, 50, (30, 3))
    rows = grow_tree(rng, np.zeros((1, 3)), ends, tip=0.5)
    reached = np.abs(rows[:, None, 4:7] - ends).max(2).min(0)
    assert reached.max() < 1e-9
    assert (rows[:, 3] >= rows[:, 7] - 1e-9).mean() > 0.95
    assert rows[:, 3].max() > 2 * rows[:, 7].min()


def test_a_spline_passes_through_its_points() -> None:
    points = np.array([[0, 0, 0, 1], [30, 0, 0, 2], [30, 40, 0, 3.0]])
    smooth = spline(points, 5.0)
    for point in points:
        assert np.abs(smooth - point).sum(1).min() < 1e-9
