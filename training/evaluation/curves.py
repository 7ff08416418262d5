"""Curves and numbers from counts: ROC, PRO, precision and Dice, each with what rounding can change.

Within a bin the order of the voxels is not known, so that a curve may run anywhere between the
bin's two corners. Every number comes with a bound on how far that can have moved it.

Sources: Bergmann et al., "The MVTec anomaly detection dataset", IJCV 2021, for the per-region
overlap (PRO) up to a false positive rate of 0.3; regions are 26-connected in three dimensions.
"""

from dataclasses import dataclass

import numpy as np

from training.evaluation.counts import Counts, score_of

PARTIAL = 0.3
"""Largest false positive rate of the partial areas that the paper reports."""


@dataclass(frozen=True)
class Bounded:
    """A number, and how far the rounding of scores can have moved it.

    Arguments:
        value: The number; NaN where it is not defined.
        bound: Largest distance from the number of the exact scores; NaN likewise.
    """

    value: float
    bound: float


def auroc(counts: Counts, up_to: float = 1.0) -> Bounded:
    """Area under the ROC curve up to a false positive rate, divided by that rate.

    Arguments:
        counts: The voxels.
        up_to: The rate, above 0: 1 for the whole area, where chance is 0.5; at 0.3 chance is 0.15.

    Returns:
        0 to 1; NaN where there are no lesion voxels, or no others.
    """
    return _area(counts.negatives, counts.positives, up_to)


def aupro(counts: Counts, up_to: float = PARTIAL) -> Bounded:
    """Area under the curve of the mean overlap with a lesion region, over the false positive rate.

    Arguments:
        counts: The voxels.
        up_to: See `auroc`; the same chances.
    """
    return _area(counts.negatives, counts.parts, up_to)


def average_precision(counts: Counts) -> Bounded:
    """Mean precision over the lesion voxels, ties taken together, as scikit-learn has it.

    Returns:
        Chance is the share of lesion voxels; NaN where there are none.
    """
    value, best, worst = precisions(counts.negatives, counts.positives)
    return Bounded(value, max(best - value, value - worst))


def precisions(negatives: np.ndarray, positives: np.ndarray) -> tuple[float, float, float]:
    """Average precision with the voxels of a bin taken together, and its limits otherwise.

    Arguments:
        negatives: Other voxels at each score, lowest first, `(bins,)`.
        positives: Lesion voxels at each score, `(bins,)`.

    Returns:
        Taken together; with the lesion voxels of each bin first; with them last. NaN without any.
    """
    n, p = (a[::-1].astype(float) for a in (negatives, positives))
    used = (n + p) > 0
    n, p = n[used], p[used]
    total = p.sum()
    if not total:
        return np.nan, np.nan, np.nan
    found, false = np.cumsum(p), np.cumsum(n)
    together = found / (found + false)
    first = found / np.maximum(found + false - n, 1)
    # One after the other behind the others; concave in their number, so that the mean of the
    # ends is no larger than the mean of all.
    last = ((found - p + 1) / (found - p + 1 + false) + together) / 2
    sums = [float((p * some).sum() / total) for some in (together, first, last)]
    return sums[0], max(sums[:2]), min(sums[0], sums[2])


def dice(negatives: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Dice of calling everything from a bin on a lesion.

    Arguments:
        negatives: Other voxels at each score, lowest first, `(..., bins)`.
        positives: Lesion voxels at each score, the same shape.

    Returns:
        `(..., bins)`, 0 to 1; NaN where there is no lesion.
    """
    found, false = (_from_the_top(a) for a in (positives, negatives))
    lesion = positives.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        result = 2 * found / (found + false + lesion)
    return np.where(lesion > 0, result, np.nan)


@dataclass(frozen=True)
class BestDice:
    """The best Dice that any threshold reaches: an oracle, for thresholds are not known before.

    Arguments:
        dice: The Dice, with its bound.
        threshold: The lowest score that counts as a lesion.
    """

    dice: Bounded
    threshold: float


def best_dice(counts: Counts) -> BestDice:
    """Find the threshold that the pooled voxels like best."""
    # Voxels without a score have no threshold below them: they are never called a lesion.
    curve = dice(counts.negatives, counts.positives)[1:]
    if np.isnan(curve).all():
        return BestDice(Bounded(np.nan, np.nan), np.nan)
    # Of equal ones the highest: it is the score of a voxel, not of a bin that is empty.
    best = len(curve) - 1 - int(np.nanargmax(curve[::-1]))
    # The best of all orders: a threshold within a bin that has all its lesion voxels above it.
    n, p = (a.astype(float) for a in (counts.negatives, counts.positives))
    found, false = _from_the_top(p), _from_the_top(n) - n
    highest = (2 * found / (found + false + p.sum()))[1:].max()
    value = float(curve[best])
    return BestDice(Bounded(value, float(highest - value)), float(score_of(np.array(best + 1))))


def curve(negatives: np.ndarray, positives: np.ndarray, points: int = 200) -> np.ndarray:
    """False and true positive rates for a plot, `(points, 2)` at most, from (0, 0) to (1, 1).

    Arguments:
        negatives: Other voxels at each score, lowest first, `(bins,)`.
        positives: Lesion voxels, or parts of regions, `(bins,)`.
        points: Points at most, spread over both rates.
    """
    used = (negatives + positives) > 0
    if not negatives.any() or not positives.any():
        return np.zeros((0, 2))
    fpr, tpr = (_rates(a[None, used])[0] for a in (negatives, positives))
    # Evenly along the curve's length in both rates.
    length = (fpr + tpr) / 2
    chosen = np.searchsorted(length, np.linspace(0, 1, points)).clip(0, len(length) - 1)
    return np.stack([fpr, tpr], axis=1)[np.unique(chosen)]


def areas(negatives: np.ndarray, positives: np.ndarray, up_to: float) -> np.ndarray:
    """Areas under ROC or PRO curves, by the trapezoid rule, linear at the cut.

    Arguments:
        negatives: Other voxels at each score, lowest first, `(N, bins)`.
        positives: Lesion voxels, or parts of regions, at each score, `(N, bins)`.
        up_to: False positive rate where the area ends; it is divided by it.

    Returns:
        `(N,)`, NaN for a curve without lesion voxels or without others.
    """
    # Scores that nobody has do not change the curve, and are most of them.
    used = negatives.any(axis=0) | positives.any(axis=0)
    with np.errstate(invalid="ignore"):
        fpr, tpr = (_rates(counts[:, used]) for counts in (negatives, positives))
        step, share = _pieces(fpr, up_to)
        height = tpr[:, :-1] + 0.5 * share * np.diff(tpr, axis=1)
        return (share * step * height).sum(axis=1) / up_to


def _area(negatives: np.ndarray, positives: np.ndarray, up_to: float) -> Bounded:
    """One area, with its bound: what a curve through a bin's other corners would add or lose."""
    used = (negatives + positives) > 0
    n, p = negatives[None, used], positives[None, used]
    value = float(areas(n, p, up_to)[0])
    with np.errstate(invalid="ignore"):
        fpr, tpr = _rates(n), _rates(p)
        step, share = _pieces(fpr, up_to)
        off = (share * step * np.diff(tpr, axis=1) * (1 - 0.5 * share)).sum()
    return Bounded(value, float(off / up_to) if np.isfinite(value) else np.nan)


def _pieces(fpr: np.ndarray, up_to: float) -> tuple[np.ndarray, np.ndarray]:
    """Width of each piece of the curve, and the share of it that lies before the cut."""
    step = np.diff(fpr, axis=1)
    # Flat in FPR, a piece has no area anyway.
    return step, np.clip((up_to - fpr[:, :-1]) / np.where(step > 0, step, 1), 0, 1)


def _rates(counts: np.ndarray) -> np.ndarray:
    """Share of the voxels at or above each score, from the highest score down, 0 first."""
    sums = np.cumsum(counts[:, ::-1], axis=1)
    # Not the last sum: without any bin there is none.
    return np.pad(sums, ((0, 0), (1, 0))) / counts.sum(axis=1, keepdims=True)


def _from_the_top(counts: np.ndarray) -> np.ndarray:
    """How many there are at or above each score."""
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
