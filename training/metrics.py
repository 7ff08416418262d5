"""Voxel metrics of anomaly maps, from histograms that add up over scans.

A ROC curve needs no more than the number of lesion voxels and of other voxels at every score.
Scores are rounded to float16 and counted by their 65,536 bit patterns, put in the order of the
numbers: no range to choose, memory that does not grow with the scans, and counts that can be
added, kept, and drawn anew for a confidence interval. What the rounding can change is bounded
(`Counts.bound`) and told with every result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np

BINS = 1 << 16
"""Bit patterns of a float16."""
UNSCORED = 0
"""Bin of lesion voxels that have no score: below minus infinity, where no number falls."""
LARGEST = float(np.finfo(np.float16).max)
"""Scores beyond are counted as this one."""
PARTIAL = 0.3
"""Largest false positive rate of the partial area that the paper reports."""


@dataclass(frozen=True)
class Counts:
    """Voxels at each score, rarest score last.

    Arguments:
        negatives: Voxels without a lesion, int64, `(BINS,)`.
        positives: Lesion voxels, int64, `(BINS,)`.

    Example:
        >>> counts = Counts.of(np.array([1.0, 2.0, 3.0]), np.array([False, True, True]))
        >>> counts.auroc()
        1.0
    """

    negatives: np.ndarray
    positives: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, lesion: np.ndarray) -> Self:
        """Count the voxels of one scan.

        Arguments:
            scores: Anomaly scores, higher is rarer, NaN where not scored, any shape.
            lesion: Which voxels are lesion, bool, the same shape.

        Returns:
            Other voxels only where scored, so that the air around a patient makes nobody look
            good; lesion voxels all of them, one without a score as if it had the lowest of all.
        """
        found = np.bincount(keys(scores[lesion]), minlength=BINS)
        other = np.bincount(keys(scores[~lesion]), minlength=BINS)
        other[UNSCORED] = 0
        return cls(other, found)

    def __add__(self, other: "Counts") -> "Counts":
        """Pool two sets of voxels."""
        return Counts(self.negatives + other.negatives, self.positives + other.positives)

    @property
    def unscored(self) -> float:
        """Share of lesion voxels that have no score; NaN where there is no lesion."""
        return _ratio(self.positives[UNSCORED], self.positives.sum())

    def auroc(self, up_to: float = 1.0) -> float:
        """Area under the ROC curve up to a false positive rate, divided by that rate.

        Arguments:
            up_to: The rate, above 0: 1 for the whole area, where chance is 0.5; at 0.3 chance
                is 0.15.

        Returns:
            0 to 1; NaN where there are no lesion voxels, or no others.
        """
        return float(areas(self.negatives[None], self.positives[None], up_to)[0])

    def bound(self, up_to: float = 1.0) -> float:
        """How far rounding to float16 can have moved `auroc`.

        Within a bin the curve may run anywhere between its two corners, so that the area is off
        by no more than half of each bin's rectangle.
        """
        total = float(self.negatives.sum()) * float(self.positives.sum())
        return _ratio(0.5 * (self.negatives * self.positives.astype(float)).sum(), total * up_to)


def keys(scores: np.ndarray) -> np.ndarray:
    """Turn scores into whole numbers of the same order.

    Arguments:
        scores: Any shape, float; NaN becomes `UNSCORED`.

    Returns:
        int64, flat, 0 to BINS - 1.

    Example:
        >>> keys(np.array([np.nan, -1.0, -0.0, 0.0, 2.0])).tolist()
        [0, 17407, 32768, 32768, 49152]
    """
    # Adding 0 turns -0 into 0, which is the same number with other bits.
    half = np.clip(scores.ravel(), -LARGEST, LARGEST).astype(np.float16) + np.float16(0)
    bits = half.view(np.uint16)
    ordered = np.where(bits >> 15, ~bits, bits | np.uint16(0x8000))
    return np.where(np.isnan(half), UNSCORED, ordered).astype(np.int64)


def areas(negatives: np.ndarray, positives: np.ndarray, up_to: float) -> np.ndarray:
    """Areas under ROC curves, by the trapezoid rule, linear at the cut.

    Arguments:
        negatives: Other voxels at each score, lowest first, `(N, bins)`.
        positives: Lesion voxels at each score, `(N, bins)`.
        up_to: False positive rate where the area ends; it is divided by it.

    Returns:
        `(N,)`, NaN for a curve without lesion voxels or without others.
    """
    # Scores that nobody has do not change the curve, and are most of them.
    used = negatives.any(axis=0) | positives.any(axis=0)
    with np.errstate(invalid="ignore"):
        fpr, tpr = (_rates(counts[:, used]) for counts in (negatives, positives))
        step = np.diff(fpr, axis=1)
        # Of each piece, the share that lies before the cut; flat in FPR, it has no area anyway.
        share = np.clip((up_to - fpr[:, :-1]) / np.where(step > 0, step, 1), 0, 1)
        height = tpr[:, :-1] + 0.5 * share * np.diff(tpr, axis=1)
        return (share * step * height).sum(axis=1) / up_to


def pooled(scans: Sequence[Counts]) -> Counts:
    """All voxels of several scans together; at least one scan."""
    return reduce(Counts.__add__, scans)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% confidence interval.

    Arguments:
        value: The number; NaN where it is not defined.
        low: Lower end; NaN where there are fewer than two scans with lesions.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def estimate(
    scans: Sequence[Counts],
    up_to: float,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[Estimate, Estimate]:
    """Measure the area over all voxels, and its mean over scans, with confidence intervals.

    The intervals are percentiles over scans drawn anew with replacement: voxels of one scan are
    far from independent, scans are the smallest thing that can be drawn.

    Arguments:
        scans: Counts of each scan, at least one.
        up_to: See `Counts.auroc`.
        resamples: How often to draw.
        rng: Draws the scans; the same state gives the same draws for every scorer.

    Returns:
        Pooled, and the mean over those scans that have lesion voxels and others.
    """
    total = pooled(scans)
    used = np.flatnonzero(total.negatives + total.positives)
    # As floats, which multiply faster and hold every whole number that can occur.
    negatives = np.stack([scan.negatives[used] for scan in scans]).astype(float)
    positives = np.stack([scan.positives[used] for scan in scans]).astype(float)
    single = areas(negatives, positives, up_to)
    draws = rng.multinomial(len(scans), np.full(len(scans), 1 / len(scans)), resamples)

    def of_pool(times: np.ndarray) -> float:
        return float(areas((times @ negatives)[None], (times @ positives)[None], up_to)[0])

    def of_scans(times: np.ndarray) -> float:
        there = np.isfinite(single)
        return _ratio((times * np.where(there, single, 0)).sum(), times[there].sum())

    enough = np.isfinite(single).sum() > 1
    return _interval(of_pool, draws, enough), _interval(of_scans, draws, enough)


def _interval(
    measure: Callable[[np.ndarray], float], draws: np.ndarray, enough: np.bool_
) -> Estimate:
    """Measure once with every scan, and once for each draw; a draw without lesions is left out."""
    value = measure(np.ones_like(draws[0]))
    found = [drawn for drawn in map(measure, draws) if np.isfinite(drawn)] if enough else []
    low, high = np.percentile(found, [2.5, 97.5]) if found else (np.nan, np.nan)
    return Estimate(value, float(low), float(high))


def _rates(counts: np.ndarray) -> np.ndarray:
    """Share of the voxels at or above each score, from the highest score down, 0 first."""
    sums = np.cumsum(counts[:, ::-1], axis=1)
    # Not the last sum: without any bin there is none.
    return np.pad(sums, ((0, 0), (1, 0))) / counts.sum(axis=1, keepdims=True)


def _ratio(part: float, whole: float) -> float:
    """Divide, NaN where there is nothing to divide by."""
    return float(part / whole) if whole else float("nan")
