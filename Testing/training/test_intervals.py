"""Intervals: patients are drawn, grouping bins changes little, and thresholds come from others."""

import numpy as np
import pytest

from training.evaluation.counts import Counts, pooled
from training.evaluation.curves import PARTIAL, aupro, auroc
from training.evaluation.intervals import Groups, Scans


def some_counts(rng: np.random.Generator, lift: float, voxels: int = 4000) -> Counts:
    lesion = rng.random(voxels) < 0.1
    region = np.where(lesion, rng.integers(1, 4, voxels), 0)
    return Counts.of(rng.normal(0, 1, voxels) + lift * lesion, region)


def scans_of(counts: list[Counts], patients: list[str] | None = None) -> Scans:
    groups = Groups.of(pooled(counts))
    names = patients or [str(i) for i in range(len(counts))]
    return Scans.of([groups.of_counts(c) for c in counts], names)


def areas_of(counts: list[Counts]) -> np.ndarray:
    return np.array([auroc(c).value for c in counts])


def test_mean_and_pool_count_what_they_say(rng: np.random.Generator) -> None:
    healthy = Counts.of(rng.normal(size=500), np.zeros(500, bool))
    counts = [some_counts(rng, 0.5), some_counts(rng, 3.0, voxels=40_000), healthy]
    scans = scans_of(counts)
    draws = scans.draws(20, rng)
    whole = pooled(counts)
    assert scans.pooled_area(1, 1.0, draws).value == pytest.approx(auroc(whole).value, abs=1e-4)
    assert scans.pooled_area(2, PARTIAL, draws).value == pytest.approx(
        aupro(whole).value, abs=1e-3
    )
    singles = areas_of(counts)
    assert np.isnan(singles[2])
    assert scans.mean(singles, draws).value == pytest.approx(singles[:2].mean())


def test_few_scores_are_not_grouped_at_all(rng: np.random.Generator) -> None:
    counts = [
        Counts.of(rng.integers(0, 50, 900).astype(float), rng.integers(0, 3, 900)) for _ in "ab"
    ]
    scans = scans_of(counts)
    value = scans.pooled_area(1, PARTIAL, scans.draws(1, rng)).value
    assert value == pytest.approx(auroc(pooled(counts), PARTIAL).value, abs=1e-12)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Patients whose lift varies: 95% intervals of the mean miss its expectation in about 5%."""
    source = np.random.default_rng(5)
    lifts = source.normal(1, 0.3, 200)
    truth = np.mean([auroc(some_counts(source, lift)).value for lift in lifts])
    missed = 0
    for _ in range(30):
        counts = [some_counts(source, source.normal(1, 0.3), 500) for _ in range(10)]
        scans = scans_of(counts)
        mean = scans.mean(areas_of(counts), scans.draws(100, source))
        assert mean.low <= mean.value <= mean.high
        missed += not mean.low <= truth <= mean.high
    assert 0 < missed < 8


def test_scans_of_one_patient_are_drawn_together(rng: np.random.Generator) -> None:
    counts = [some_counts(rng, lift) for lift in (0.0, 2.0) for _ in range(8)]
    apart = scans_of(counts)
    # Two patients of eight scans each: far less is known than from sixteen patients.
    together = scans_of(counts, ["a"] * 8 + ["b"] * 8)
    assert together.count == 2
    wide, narrow = (s.mean(areas_of(counts), s.draws(200, rng)) for s in (together, apart))
    assert wide.value == pytest.approx(narrow.value)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_same_draws_give_the_same_interval_and_one_patient_has_none(
    rng: np.random.Generator,
) -> None:
    scans = scans_of([some_counts(rng, lift) for lift in (0.0, 1.0, 2.0)])
    first, second = (
        scans.pooled_area(1, PARTIAL, scans.draws(50, np.random.default_rng(1))) for _ in range(2)
    )
    assert first == second
    alone = scans_of([some_counts(rng, 1.0)])
    estimate = alone.pooled_area(1, 1.0, alone.draws(50, rng))
    assert np.isfinite(estimate.value)
    assert np.isnan(estimate.low)


def test_the_threshold_of_a_scan_comes_from_other_patients(rng: np.random.Generator) -> None:
    lesion = np.arange(100) < 20
    low, high = np.where(lesion, 2.0, 1.0), np.where(lesion, 20.0, 10.0)
    counts = [Counts.of(scores, lesion) for scores in (low, low, high, high)]
    # Alone among scans of the other kind, a scan gets their threshold: all of it, or nothing.
    own = scans_of([counts[0], counts[2]]).dice_elsewhere()
    np.testing.assert_allclose(own, [0.0, 2 * 20 / 120])
    # With a twin that is another patient, it gets the right one from time to time; with a twin
    # of its own it does not.
    twins = scans_of([counts[0], counts[1], counts[2]], ["a", "b", "c"]).dice_elsewhere()
    np.testing.assert_allclose(twins, [1.0, 1.0, 2 * 20 / 120])
    same = scans_of([counts[0], counts[1], counts[2]], ["a", "a", "c"]).dice_elsewhere()
    np.testing.assert_allclose(same, [0.0, 0.0, 2 * 20 / 120])


def test_without_other_lesions_there_is_no_threshold(rng: np.random.Generator) -> None:
    healthy = Counts.of(rng.normal(size=500), np.zeros(500, bool))
    assert np.isnan(scans_of([some_counts(rng, 1.0), healthy]).dice_elsewhere()).all()
