"""Metrics: equal to scikit-learn's, bounded where rounded, additive over scans."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from training.metrics import BINS, PARTIAL, UNSCORED, Counts, areas, estimate, keys, pooled

NUMBERS = st.floats(width=16, allow_nan=False, allow_infinity=False)
SCORES = arrays(np.float32, 40, elements=NUMBERS | st.sampled_from([-1.0, 0.0, -0.0, 2.0]))
LESION = arrays(bool, 40).filter(lambda a: a.any() and not a.all())


def partial_by_sklearn(lesion: np.ndarray, scores: np.ndarray, up_to: float) -> float:
    """scikit-learn's partial area without McClish's correction, divided by the rate."""
    least, most = up_to**2 / 2, up_to
    corrected = roc_auc_score(lesion, scores, max_fpr=up_to)
    return (least + (2 * corrected - 1) * (most - least)) / up_to


def some_counts(rng: np.random.Generator, lift: float, voxels: int = 4000) -> Counts:
    lesion = rng.random(voxels) < 0.1
    return Counts.of(rng.normal(0, 1, voxels) + lift * lesion, lesion)


@settings(max_examples=60, deadline=None)
@given(SCORES, LESION)
def test_scores_that_float16_holds_give_the_areas_of_scikit_learn(
    scores: np.ndarray, lesion: np.ndarray
) -> None:
    counts = Counts.of(scores, lesion)
    assert counts.auroc() == pytest.approx(roc_auc_score(lesion, scores), abs=1e-12)
    for up_to in (PARTIAL, 0.05):
        expected = partial_by_sklearn(lesion, scores, up_to)
        assert counts.auroc(up_to) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 30, elements=st.floats(-70, 3e4)), LESION.map(lambda a: a[:30]))
def test_rounding_moves_the_area_by_no_more_than_its_bound(
    scores: np.ndarray, lesion: np.ndarray
) -> None:
    if not lesion.any() or lesion.all():
        return
    counts = Counts.of(scores, lesion)
    exact = roc_auc_score(lesion, scores)
    assert abs(counts.auroc() - exact) <= counts.bound() + 1e-12
    cut = partial_by_sklearn(lesion, scores, PARTIAL)
    assert abs(counts.auroc(PARTIAL) - cut) <= counts.bound(PARTIAL) + 1e-9


@given(arrays(np.float16, 2, elements=st.floats(width=16)))
def test_keys_keep_the_order_of_numbers(pair: np.ndarray) -> None:
    a, b = np.clip(pair, -65504, 65504)
    low, high = keys(pair)
    if np.isnan(pair).any():
        assert all(
            key == UNSCORED for key, x in zip((low, high), pair, strict=True) if np.isnan(x)
        )
    else:
        assert np.sign(int(high) - int(low)) == np.sign(float(b) - float(a))
        assert UNSCORED < min(low, high) <= max(low, high) < BINS


def test_many_voxels_match_scikit_learn_and_chance_is_known(rng: np.random.Generator) -> None:
    lesion = rng.random(200_000) < 0.02
    scores = rng.gamma(2.0, 3.0, 200_000) + 2 * lesion
    counts = Counts.of(scores.astype(np.float32), lesion)
    assert counts.auroc() == pytest.approx(roc_auc_score(lesion, scores), abs=1e-5)
    assert counts.bound() < 1e-3
    chance = Counts.of(rng.random(200_000), lesion)
    assert chance.auroc() == pytest.approx(0.5, abs=0.02)
    assert chance.auroc(PARTIAL) == pytest.approx(0.15, abs=0.02)


def test_constant_scores_are_chance() -> None:
    counts = Counts.of(np.full(10, 7.0), np.arange(10) < 3)
    assert counts.auroc() == pytest.approx(0.5)
    assert counts.auroc(PARTIAL) == pytest.approx(0.15)
    assert counts.bound() == pytest.approx(0.5)


def test_unscored_lesions_rank_lowest_and_unscored_others_do_not_count() -> None:
    scores = np.array([np.nan, 5.0, 1.0, 2.0, np.nan, np.nan])
    lesion = np.array([True, True, False, False, False, False])
    counts = Counts.of(scores, lesion)
    # One lesion voxel beats both others, one is beaten by both.
    assert counts.auroc() == pytest.approx(0.5)
    assert counts.unscored == pytest.approx(0.5)
    assert counts.negatives.sum() == 2


def test_pooling_equals_counting_together(rng: np.random.Generator) -> None:
    scores, lesion = rng.normal(size=600), rng.random(600) < 0.3
    parts = [Counts.of(scores[i::3], lesion[i::3]) for i in range(3)]
    whole = Counts.of(scores, lesion)
    together = pooled(parts)
    np.testing.assert_array_equal(together.positives, whole.positives)
    np.testing.assert_array_equal(together.negatives, whole.negatives)


def test_no_lesion_or_nothing_else_has_no_area() -> None:
    for lesion in (np.zeros(4, bool), np.ones(4, bool)):
        assert np.isnan(Counts.of(np.arange(4.0), lesion).auroc())


def test_areas_of_several_curves_are_those_of_each(rng: np.random.Generator) -> None:
    scans = [some_counts(rng, lift) for lift in (0.0, 1.0, 3.0)]
    many = areas(
        np.stack([s.negatives for s in scans]), np.stack([s.positives for s in scans]), PARTIAL
    )
    np.testing.assert_allclose(many, [s.auroc(PARTIAL) for s in scans])


def test_mean_and_pool_count_what_they_say(rng: np.random.Generator) -> None:
    healthy = Counts.of(rng.normal(size=500), np.zeros(500, bool))
    scans = [some_counts(rng, 0.5), some_counts(rng, 3.0, voxels=40_000), healthy]
    pool, mean = estimate(scans, 1.0, 20, rng)
    assert pool.value == pytest.approx(pooled(scans).auroc())
    assert mean.value == pytest.approx(np.mean([s.auroc() for s in scans[:2]]))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Scans whose lift varies: 95% intervals of the mean miss its expectation in about 5%."""
    source = np.random.default_rng(5)
    truth = np.mean([some_counts(source, source.normal(1, 0.3)).auroc() for _ in range(200)])
    missed = 0
    for _ in range(30):
        scans = [some_counts(source, source.normal(1, 0.3), 500) for _ in range(10)]
        _, mean = estimate(scans, 1.0, 100, source)
        assert mean.low <= mean.value <= mean.high
        missed += not mean.low <= truth <= mean.high
    assert 0 < missed < 8


def test_the_same_draws_give_the_same_interval_and_one_scan_has_none(
    rng: np.random.Generator,
) -> None:
    scans = [some_counts(rng, lift) for lift in (0.0, 1.0, 2.0)]
    first, second = (estimate(scans, PARTIAL, 50, np.random.default_rng(1)) for _ in range(2))
    assert first == second
    alone, _ = estimate(scans[:1], 1.0, 50, rng)
    assert np.isfinite(alone.value)
    assert np.isnan(alone.low)
