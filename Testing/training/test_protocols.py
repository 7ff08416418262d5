"""Protocols: which voxels count, what is drawn, and that grids keep score and truth together."""

import numpy as np
import pytest

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import CANONICAL, Scan
from training.evaluation.counts import UNSCORED, Counts
from training.evaluation.curves import aupro, auroc
from training.evaluation.protocols import DRAWN, PROTOCOLS, Place, Truth, count, picked

SHAPE = (24, 40, 40)
AFFINE = np.eye(4)
AFFINE[:3, :3] = CANONICAL.T * (3.0, 2.0, 2.0)


@pytest.fixture
def labels() -> np.ndarray:
    """Two regions of label 1, which touch by a corner and do not, one of them one voxel; one of 2."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:12, 12:16, 12:16] = 1
    labels[12, 16, 16] = 1  # touches the first by a corner
    labels[18, 30, 30] = 1
    labels[16:18, 12:15, 25:28] = 2
    return labels


@pytest.fixture
def scores(rng: np.random.Generator) -> np.ndarray:
    """Noise in a body that leaves air on all sides."""
    scores = np.full(SHAPE, np.nan, np.float32)
    scores[2:-2, 5:-5, 5:-5] = rng.normal(size=(20, 30, 30))
    return scores


def test_regions_are_26_connected_and_small_ones_can_be_left_out(labels: np.ndarray) -> None:
    truth = Truth.of(labels, AFFINE, 1, ignore=True)
    assert truth.regions == 2
    assert truth.region[8, 12, 12] == truth.region[12, 16, 16] != truth.region[18, 30, 30]
    assert (truth.considered == (labels != 2)).all()
    fewer = Truth.of(labels, AFFINE, 1, ignore=True, fewest=2)
    assert fewer.regions == 1
    assert fewer.region[18, 30, 30] == -1
    assert Truth.of(labels, AFFINE, 0, ignore=True).regions == 3
    assert Truth.of(labels, AFFINE, 2, ignore=False).considered.all()
    assert Truth.of(np.zeros(SHAPE), AFFINE, 0, ignore=True).regions == 0


def test_the_protocols_differ_in_what_is_a_negative(
    labels: np.ndarray, scores: np.ndarray
) -> None:
    truth = Truth.of(labels, AFFINE, 1, ignore=True)
    counts = count(scores, truth, PROTOCOLS, [0])
    lesion, other = (labels == 1).sum(), (labels == 2).sum()
    assert counts["body-only"].negatives.sum() == np.isfinite(scores).sum() - lesion - other
    assert counts["voxel-all"].negatives.sum() == scores.size - lesion - other
    assert counts["authors"].negatives.sum() == DRAWN
    # The box around the scored voxels is full here: nothing that is drawn lacks a score.
    assert counts["authors"].negatives[UNSCORED] == 0
    for some in counts.values():
        assert some.positives.sum() == lesion
        assert some.regions == 2


def test_air_inside_the_box_is_a_negative_for_the_authors_alone(
    labels: np.ndarray, scores: np.ndarray
) -> None:
    scores[:, :, 20] = np.nan
    truth = Truth.of(labels, AFFINE, 1, ignore=True)
    counts = count(scores, truth, PROTOCOLS, [0])
    assert counts["authors"].negatives[UNSCORED] > 0
    assert counts["body-only"].negatives[UNSCORED] == 0
    assert auroc(counts["authors"]).value > auroc(counts["body-only"]).value - 0.05


def test_drawn_voxels_repeat_with_the_seed_and_agree_with_all_of_them(
    rng: np.random.Generator,
) -> None:
    region = (rng.random((40, 50, 50)) < 0.1).astype(np.int32)
    scores = rng.normal(size=region.shape) + region
    truth = Truth(region, np.ones(region.shape, bool), np.eye(4))
    first, again, other = (
        count(scores, truth, ["authors"], seed)["authors"] for seed in ([1], [1], [2])
    )
    np.testing.assert_array_equal(first.negatives, again.negatives)
    assert (first.negatives != other.negatives).any()
    assert first.positives.sum() == DRAWN
    whole = Counts.of(scores, region)
    # 1,000 of each kind: a standard error of about a hundredth.
    assert auroc(first).value == pytest.approx(auroc(whole).value, abs=0.04)
    # With replacement, some voxel comes twice.
    few = Truth(np.pad(np.ones((5, 20, 9), np.int32), 1), np.ones((7, 22, 11), bool), np.eye(4))
    distinct = np.arange(few.region.size, dtype=np.float32).reshape(few.region.shape)
    drawn = count(distinct, few, ["authors"], [0])["authors"]
    assert drawn.positives.sum() == 900
    assert drawn.positives.max() > 1


def test_every_marked_voxel_is_picked_equally_often(rng: np.random.Generator) -> None:
    where = rng.random((5, 6, 7)) < 0.3
    where[2] = False
    times = np.zeros(where.shape)
    for _ in range(400):
        np.add.at(times, picked(where, 50, rng), 1)
    assert (times[~where] == 0).all()
    expected = 400 * 50 / where.sum()
    assert times[where].sum() == 400 * min(50, where.sum())
    # Counts of equal chances scatter by their root.
    assert np.abs(times[where] - times[where].mean()).max() < 5 * np.sqrt(expected)
    assert [len(axis) for axis in picked(np.zeros((2, 3, 4), bool), 9, rng)] == [0, 0, 0]


def test_a_scan_without_any_score_finds_nothing(labels: np.ndarray) -> None:
    truth = Truth.of(labels, AFFINE, 1, ignore=True)
    counts = count(np.full(SHAPE, np.nan), truth, PROTOCOLS, [0])
    assert np.isnan(auroc(counts["body-only"]).value)
    assert auroc(counts["voxel-all"]).value == pytest.approx(0.5)
    assert np.isnan(auroc(counts["authors"]).value)


def test_no_negatives_have_no_number(scores: np.ndarray) -> None:
    truth = Truth.of(np.ones(SHAPE, np.uint8), AFFINE, 1, ignore=True)
    for some in count(scores, truth, PROTOCOLS, [0]).values():
        assert np.isnan(auroc(some).value)
        assert np.isnan(aupro(some).value)


def test_the_prepared_grid_samples_score_and_truth_at_the_same_voxels(
    labels: np.ndarray,
) -> None:
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[2:-2, 5:-5, 5:-5] = 40.0
    scan = Scan(hu, AFFINE)
    place = Place.of(scan, "prepared", PreprocessSettings())
    np.testing.assert_allclose(np.linalg.norm(place.affine[:3, :3], axis=0), (2.25, 1.5, 1.5))
    truth = Truth.of(labels, AFFINE, 1, ignore=True)
    here = place.of_truth(truth)
    # A score that is the region itself stays it: no voxel got score and truth of two places.
    scores = place.of_scores(truth.region.astype(np.float32), AFFINE)
    inside = np.isfinite(scores)
    np.testing.assert_array_equal(scores[inside], here.region[inside])
    assert here.regions == 2
    np.testing.assert_allclose(here.spacing, (2.25, 1.5, 1.5))
    own = Place.of(scan, "own", PreprocessSettings())
    assert own.of_truth(truth) is truth
    assert own.of_scores(hu, scan.affine) is hu
