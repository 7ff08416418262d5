"""FROC: peaks, which lesions they find, and the curve of a slow count."""

import numpy as np
import pytest

from training.evaluation.froc import MOST, Joined, Marks, peaks, sensitivity

SPACING = np.array([2.5, 1.0, 1.0])
SHAPE = (20, 60, 60)


def bump(scores: np.ndarray, at: tuple[int, int, int], height: float) -> None:
    """Raise the map to a peak that falls by 5 with each voxel."""
    grid = np.indices(SHAPE)
    away = np.abs(grid - np.array(at)[:, None, None, None]).max(axis=0)
    np.maximum(scores, height - 5 * away, out=scores)


@pytest.fixture
def marks() -> Marks:
    """Two lesions, one of them found beside its edge, and two false peaks."""
    scores, region = np.zeros(SHAPE), np.zeros(SHAPE, int)
    region[4:6, 10:14, 10:14], region[14:16, 40:44, 40:44] = 1, 2
    bump(scores, (5, 12, 12), 30)
    bump(scores, (5, 12, 45), 20)
    bump(scores, (14, 48, 41), 15)
    bump(scores, (15, 12, 12), 10)
    scores[:, :, -3:] = np.nan
    return Marks.of(scores, region, SPACING)


def test_peaks_are_the_highest_within_reach() -> None:
    scores = np.zeros(SHAPE)
    scores[3, 10, 10], scores[3, 10, 20], scores[3, 10, 31], scores[7, 10, 10] = 5, 4, 3, 6
    scores[10] = np.nan
    found = {tuple(at) for at in peaks(scores, SPACING).tolist()}
    # 10 mm away lies within reach, 11 mm does not: 4 beside 5, and 5 under 6 are no peaks.
    assert {(7, 10, 10), (3, 10, 31)} <= found
    assert not {(3, 10, 10), (3, 10, 20)} & found
    assert all(np.isfinite(scores[at]) for at in found)


def test_a_plateau_is_one_peak_and_nothing_scored_is_none() -> None:
    assert len(peaks(np.ones(SHAPE), SPACING)) == 1
    assert len(peaks(np.full(SHAPE, np.nan), SPACING)) == 0
    assert Marks.of(np.full(SHAPE, np.nan), np.zeros(SHAPE, int), SPACING).lesions == 0


def test_peaks_find_the_lesion_that_they_lie_in_or_near(marks: Marks) -> None:
    assert marks.lesions == 2
    assert marks.scores[:4].tolist() == [30, 20, 15, 10]
    assert marks.lesion[:4].tolist() == [1, 0, 2, 0]


def test_what_is_not_sought_is_neither_right_nor_wrong() -> None:
    scores, region = np.zeros(SHAPE), np.zeros(SHAPE, int)
    bump(scores, (5, 12, 12), 30)
    region[5, 12, 14] = -1
    marks = Marks.of(scores, region, SPACING)
    assert 30 not in marks.scores
    ignored = region < 0
    assert 30 not in Marks.of(scores, np.zeros(SHAPE, int), SPACING, ignored).scores
    assert 30 in Marks.of(scores, np.zeros(SHAPE, int), SPACING).scores


def test_the_curve_is_that_of_a_slow_count(rng: np.random.Generator) -> None:
    scans = [
        Marks(-np.sort(-rng.integers(0, 9, 12)).astype(np.float32), rng.integers(0, 4, 12), 4)
        for _ in range(3)
    ]
    times = np.array([1.0, 0.0, 2.0])
    slow = [(0.0, 0.0)]
    for threshold in range(8, -1, -1):
        false = sum(
            n * ((s.scores >= threshold) & (s.lesion == 0)).sum()
            for n, s in zip(times, scans, strict=True)
        )
        hits = sum(
            n * len(set(s.lesion[s.scores >= threshold]) - {0})
            for n, s in zip(times, scans, strict=True)
        )
        slow.append((false / times.sum(), hits / (4 * times.sum())))
    fast = {tuple(point) for point in np.round(Joined.of(scans).curve(times), 9)}
    assert fast >= {tuple(point) for point in np.round(slow[1:], 9)} - {(0.0, 0.0)}
    assert len(fast) <= len(slow)


def test_sensitivity_is_averaged_over_the_rates(marks: Marks) -> None:
    points = Joined.of([marks]).curve()
    # No false finding: one lesion of two; after one false finding: both.
    assert sensitivity(points, [0.5]) == pytest.approx(0.5)
    assert sensitivity(points, [1, 8]) == pytest.approx(1.0)
    assert np.isnan(sensitivity(np.zeros((0, 2))))


def test_a_noisy_scan_keeps_its_highest_peaks_alone(rng: np.random.Generator) -> None:
    scores = rng.random((60, 60, 60))
    marks = Marks.of(scores, np.zeros(scores.shape, int), np.array([9.0, 9.0, 9.0]))
    assert len(marks.scores) == MOST
    assert marks.scores[0] == pytest.approx(scores.max())
    assert (np.diff(marks.scores) <= 0).all()
