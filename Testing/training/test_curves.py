"""Curves: equal to scikit-learn and to a slow exact PRO, within the bound that they state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from training.evaluation.counts import Counts, keys
from training.evaluation.curves import (
    PARTIAL,
    Bounded,
    areas,
    aupro,
    auroc,
    average_precision,
    best_dice,
    curve,
    dice,
)

SHAPE = (3, 4, 5)
# Numbers of all sizes, and crowds of different ones that are the same in float16.
CROWD = [float(np.float32(base + k * 1e-4)) for base in (1.0, 2.0) for k in range(7)]
ROUGH = st.sampled_from(CROWD) | st.integers(-70_000, 30_000_000).map(lambda k: k / 1000)


def from_bits(bits: int) -> float:
    """The finite float16 with these bits, and its negative for a negative number."""
    return float(np.copysign(np.uint16(abs(bits)).view(np.float16), bits))


# Not `st.floats(width=16)`: it refuses so many of its own numbers that no array gets filled.
FINE = st.integers(-0x7BFF, 0x7BFF).map(from_bits) | st.sampled_from([0.5, 0.5, -0.0])


def with_both(lesion: np.ndarray) -> np.ndarray:
    """At least one lesion voxel and one other, whatever was drawn."""
    lesion[0, 0, 0], lesion[-1, -1, -1] = True, False
    return lesion


# Sparse, so that there are several regions.
LESION = arrays(
    bool, SHAPE, elements=st.sampled_from([False] * 5 + [True]), fill=st.nothing()
).map(with_both)


def volumes(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, SHAPE, elements=elements, fill=st.nothing())


def regions_of(lesion: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.label(lesion, np.ones((3, 3, 3)))[0])


def partial_by_sklearn(lesion: np.ndarray, scores: np.ndarray, up_to: float) -> float:
    """scikit-learn's partial area without McClish's correction, divided by the rate."""
    least, most = up_to**2 / 2, up_to
    corrected = roc_auc_score(lesion.ravel(), scores.ravel(), max_fpr=up_to)
    return (least + (2 * corrected - 1) * (most - least)) / up_to


def pro_by_definition(lesion: np.ndarray, scores: np.ndarray, up_to: float) -> float:
    """The mean overlap of 26-connected regions at every threshold, one threshold at a time."""
    region = regions_of(lesion)
    fpr, pro = [0.0], [0.0]
    for threshold in np.unique(scores)[::-1]:
        called = scores >= threshold
        fpr.append(called[~lesion].mean())
        pro.append(np.mean([called[region == k].mean() for k in range(1, region.max() + 1)]))
    grid = np.unique(np.append(np.clip(fpr, 0, up_to), up_to))
    # The highest overlap of equal rates before, the lowest after: np.interp would mix them.
    area = 0.0
    for (x0, y0), (x1, y1) in zip(
        zip(fpr, pro, strict=True), zip(fpr[1:], pro[1:], strict=True), strict=False
    ):
        if x0 < up_to and x1 > x0:
            end = min(x1, up_to)
            area += (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2
    assert grid[-1] == up_to
    return area / up_to


def close(found: Bounded, exact: float, slack: float = 1e-9) -> bool:
    return abs(found.value - exact) <= found.bound + slack


@settings(max_examples=80, deadline=None)
@given(volumes(FINE), LESION)
def test_scores_that_float16_holds_give_exact_numbers(
    scores: np.ndarray, lesion: np.ndarray
) -> None:
    counts = Counts.of(scores, regions_of(lesion))
    flat = lesion.ravel(), scores.ravel()
    assert auroc(counts).value == pytest.approx(roc_auc_score(*flat), abs=1e-12)
    assert average_precision(counts).value == pytest.approx(
        average_precision_score(*flat), abs=1e-12
    )
    for up_to in (PARTIAL, 0.05):
        cut = partial_by_sklearn(lesion, scores, up_to)
        assert auroc(counts, up_to).value == pytest.approx(cut, abs=1e-9)
        slow = pro_by_definition(lesion, scores, up_to)
        assert aupro(counts, up_to).value == pytest.approx(slow, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(volumes(ROUGH), LESION)
def test_rounding_moves_no_number_by_more_than_its_bound(
    scores: np.ndarray, lesion: np.ndarray
) -> None:
    counts = Counts.of(scores, regions_of(lesion))
    flat = lesion.ravel(), scores.ravel()
    assert close(auroc(counts), float(roc_auc_score(*flat)))
    assert close(average_precision(counts), float(average_precision_score(*flat)))
    assert close(auroc(counts, PARTIAL), partial_by_sklearn(lesion, scores, PARTIAL))
    assert close(aupro(counts), pro_by_definition(lesion, scores, PARTIAL))
    exact = max(
        2 * (lesion & (scores >= t)).sum() / ((scores >= t).sum() + lesion.sum())
        for t in np.unique(scores)
    )
    best = best_dice(counts)
    assert close(best.dice, exact)
    assert best.dice.value <= exact + 1e-12
    # The threshold is the score of a voxel, as far as float16 holds it, and gives this Dice.
    called = keys(scores) >= keys(np.array([best.threshold]))
    assert keys(np.array([best.threshold]))[0] in keys(scores)
    again = 2 * (lesion.ravel() & called).sum() / (called.sum() + lesion.sum())
    assert best.dice.value == pytest.approx(again)


def test_many_voxels_match_scikit_learn_and_chance_is_known(rng: np.random.Generator) -> None:
    lesion = rng.random(200_000) < 0.02
    scores = rng.gamma(2.0, 3.0, 200_000) + 2 * lesion
    counts = Counts.of(scores.astype(np.float32), lesion)
    found = auroc(counts)
    assert found.value == pytest.approx(roc_auc_score(lesion, scores), abs=1e-5)
    assert found.bound < 1e-3
    precision = average_precision(counts)
    assert precision.value == pytest.approx(average_precision_score(lesion, scores), abs=1e-4)
    assert precision.bound < 2e-3
    chance = Counts.of(rng.random(200_000), lesion)
    assert auroc(chance).value == pytest.approx(0.5, abs=0.02)
    assert auroc(chance, PARTIAL).value == pytest.approx(0.15, abs=0.02)
    assert aupro(chance).value == pytest.approx(0.15, abs=0.02)
    assert average_precision(chance).value == pytest.approx(0.02, abs=0.003)


def test_constant_scores_are_chance_and_say_that_they_may_be_anything() -> None:
    counts = Counts.of(np.full(10, 7.0), np.arange(10) < 3)
    assert auroc(counts).value == pytest.approx(0.5)
    assert auroc(counts, PARTIAL).value == pytest.approx(0.15)
    assert aupro(counts).value == pytest.approx(0.15)
    assert auroc(counts).bound == pytest.approx(0.5)
    assert average_precision(counts).value == pytest.approx(0.3)
    assert best_dice(counts).dice.value == pytest.approx(2 * 3 / 13)


def test_a_small_region_weighs_as_much_as_a_large_one() -> None:
    region = np.array([1] * 98 + [2, 0, 0])
    scores = np.where(region == 1, 5.0, 1.0)
    scores[-2:] = 3.0
    counts = Counts.of(scores, region)
    # One of two regions lies above every other voxel, the other below.
    assert aupro(counts).value == pytest.approx(0.5)
    assert auroc(counts, PARTIAL).value == pytest.approx(98 / 99)
    uncounted = Counts.of(scores, np.where(region == 2, -1, region))
    assert uncounted.regions == 1
    assert aupro(uncounted).value == pytest.approx(1.0)
    assert auroc(uncounted, PARTIAL).value == pytest.approx(98 / 99)


def test_unscored_lesions_rank_lowest_and_unscored_others_count_where_asked() -> None:
    scores = np.array([np.nan, 5.0, 1.0, 2.0, np.nan, np.nan])
    counts = Counts.of(scores, np.array([1, 1, 0, 0, 0, 0]))
    assert counts.unscored == pytest.approx(0.5)
    # One lesion voxel beats both scored others, one is beaten by both.
    assert counts.scored_only().negatives.sum() == 2
    assert auroc(counts.scored_only()).value == pytest.approx(0.5)
    # With the two unscored others: 4 + (0 + 0 + .5 + .5) of 8 pairs.
    assert auroc(counts).value == pytest.approx(5 / 8)
    # Nothing can call a voxel without a score a lesion.
    assert best_dice(counts).dice.value == pytest.approx(2 / 3)


def test_without_lesions_or_without_others_there_is_no_number() -> None:
    none, everything = (Counts.of(np.arange(4.0), np.full(4, k)) for k in (0, 1))
    for counts in (none, everything):
        assert np.isnan(auroc(counts).value)
        assert np.isnan(aupro(counts).value)
        assert len(curve(counts.negatives, counts.positives)) == 0
    assert np.isnan(average_precision(none).value)
    assert average_precision(everything).value == pytest.approx(1)
    assert np.isnan(best_dice(none).dice.value)
    assert best_dice(everything).dice.value == pytest.approx(1)


def test_areas_of_several_curves_are_those_of_each(rng: np.random.Generator) -> None:
    scans = [Counts.of(rng.normal(size=500), rng.integers(0, 2, 500)) for _ in range(3)]
    many = areas(
        np.stack([s.negatives for s in scans]), np.stack([s.positives for s in scans]), PARTIAL
    )
    np.testing.assert_allclose(many, [auroc(s, PARTIAL).value for s in scans])


def test_a_plotted_curve_has_the_area_of_the_full_one(rng: np.random.Generator) -> None:
    lesion = rng.random(50_000) < 0.1
    counts = Counts.of(rng.normal(size=50_000) + lesion, lesion)
    points = curve(counts.negatives, counts.positives)
    assert len(points) <= 200
    np.testing.assert_array_equal(points[[0, -1]], [[0, 0], [1, 1]])
    assert (np.diff(points, axis=0) >= 0).all()
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(auroc(counts).value, abs=1e-4)


def test_dice_is_that_of_each_threshold(rng: np.random.Generator) -> None:
    scores, lesion = rng.integers(0, 5, 300).astype(float), rng.random(300) < 0.3
    counts = Counts.of(scores, lesion)
    curve_of = dice(counts.negatives, counts.positives)
    for threshold in range(5):
        called = scores >= threshold
        expected = 2 * (called & lesion).sum() / (called.sum() + lesion.sum())
        assert curve_of[keys(np.array([float(threshold)]))[0]] == pytest.approx(expected)
