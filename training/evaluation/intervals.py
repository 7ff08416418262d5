"""Numbers of a whole set with confidence intervals, by drawing its patients anew.

Voxels of one scan are far from independent, and so are scans of one patient: the patient is the
smallest thing that can be drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.evaluation.counts import Counts
from training.evaluation.curves import areas, dice, precisions
from training.evaluation.results import Interval

COARSE = 2048
"""Groups of bins that single scans are kept in: 50 MB for 1,000 scans."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% confidence interval.

    Arguments:
        value: The number; NaN where it is not defined.
        low: Lower end; NaN where there are fewer than two patients with lesions.
        high: Upper end.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Groups:
    """Neighbouring bins taken together, so that many scans fit into memory.

    Arguments:
        first: The first bin of each group, ascending, `(G,)`, the first of them 0.
    """

    first: np.ndarray

    @classmethod
    def of(cls, total: Counts, most: int = COARSE) -> "Groups":
        """Groups that hold about as many voxels of a set each, lesion voxels and others alike.

        Arguments:
            total: All voxels of the set.
            most: Groups at most; as many as there are scores where those are fewer, which
                changes nothing.
        """
        used = np.flatnonzero(total.negatives | total.positives | total.parts)
        if len(used) <= most:
            return cls(np.unique(np.append(used, 0)))
        shares = [a / max(1, a.sum()) for a in (total.negatives, total.positives, total.parts)]
        weight = np.cumsum(sum(shares))
        ends = np.searchsorted(weight, np.linspace(0, weight[-1], most, endpoint=False))
        # Voxels without a score stay apart: no threshold reaches them.
        return cls(np.unique(np.concatenate([[0, 1], ends])))

    def of_counts(self, counts: Counts) -> np.ndarray:
        """Negatives, positives and parts of each group, float64, `(3, G)`.

        As floats, which multiply faster and hold every whole number that can occur.
        """
        table = np.stack([counts.negatives, counts.positives, counts.parts])
        return np.add.reduceat(table, self.first, axis=1).astype(float)


@dataclass(frozen=True)
class Scans:
    """Single scans of a set, as groups of bins.

    Arguments:
        table: Negatives, positives and parts, float64, `(3, N, G)`.
        patients: The patient of each scan, as a number from 0, `(N,)`.
    """

    table: np.ndarray
    patients: np.ndarray

    @classmethod
    def of(cls, scans: Sequence[np.ndarray], patients: Sequence[str]) -> "Scans":
        """Put together what `Groups.of_counts` gave for each scan."""
        number = np.unique(patients, return_inverse=True)[1]
        return cls(np.stack(scans, axis=1), number)

    @cached_property
    def _by_patient(self) -> np.ndarray:
        """The voxels of each patient, `(3, patients, G)`."""
        return np.stack([self.patients == n for n in range(self.count)]) @ self.table

    @property
    def count(self) -> int:
        """How many patients there are."""
        return int(self.patients.max()) + 1

    def draws(self, resamples: int, rng: np.random.Generator) -> np.ndarray:
        """How often each patient is drawn, `(resamples, patients)`."""
        return drawn(self.count, resamples, rng)

    def pooled_area(self, kind: int, up_to: float, draws: np.ndarray) -> Estimate:
        """Area over all voxels together.

        Arguments:
            kind: 1 for lesion voxels (ROC), 2 for parts of regions (PRO).
            up_to: See `curves.areas`.
            draws: See `draws`.
        """
        negatives, found = self._by_patient[0], self._by_patient[kind]

        def measure(times: np.ndarray) -> float:
            return float(areas((times @ negatives)[None], (times @ found)[None], up_to)[0])

        return interval(measure, draws, found.any(axis=1))

    def pooled_precision(self, draws: np.ndarray) -> Estimate:
        """Average precision over all voxels together; see above."""
        negatives, found = self._by_patient[:2]

        def measure(times: np.ndarray) -> float:
            return precisions(times @ negatives, times @ found)[0]

        return interval(measure, draws, found.any(axis=1))

    def mean(self, values: np.ndarray, draws: np.ndarray) -> Estimate:
        """Mean of one number a scan, NaN left out.

        Arguments:
            values: `(N,)`.
            draws: See `draws`.
        """
        there = np.isfinite(values)
        total = np.bincount(self.patients, np.where(there, values, 0), self.count)
        number = np.bincount(self.patients, there, self.count)

        def measure(times: np.ndarray) -> float:
            scans = float((times * number).sum())
            return float((times * total).sum() / scans) if scans else float("nan")

        return interval(measure, draws, number > 0)

    def dice_elsewhere(self) -> np.ndarray:
        """Dice of each scan at the threshold that is best, on average, for other patients.

        Returns:
            `(N,)`; NaN where the scan has no lesion, or nobody else has.
        """
        # The first group holds the voxels without a score, which nothing can call a lesion.
        each = dice(self.table[0], self.table[1])[:, 1:]
        there = np.isfinite(each)
        each = np.where(there, each, 0)
        total, number = each.sum(axis=0), there[:, 0].sum()
        result = np.full(len(each), np.nan)
        for patient in range(self.count):
            own = self.patients == patient
            others = number - there[own, 0].sum()
            if others:
                best = np.argmax(total - each[own].sum(axis=0))
                result[own] = np.where(there[own, 0], each[own, best], np.nan)
        return result


def drawn(patients: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw as many patients as there are, with replacement; how often each, `(resamples, n)`."""
    return rng.multinomial(patients, np.full(patients, 1 / patients), resamples)


def plain(estimate: Estimate, digits: int = 6) -> Interval:
    """A number with its interval for JSON."""
    value, low, high = (number(x, digits) for x in (estimate.value, estimate.low, estimate.high))
    return {"value": value, "low": low, "high": high}


def number(value: float, digits: int = 6) -> float | None:
    """A number for JSON, which has no NaN."""
    return round(float(value), digits) if np.isfinite(value) else None


def interval(
    measure: Callable[[np.ndarray], float], draws: np.ndarray, lesions: np.ndarray
) -> Estimate:
    """Measure once with every patient, and once for each draw.

    Arguments:
        measure: Gives the number, from how often each patient counts, `(patients,)`.
        draws: See `Scans.draws`.
        lesions: Which patients have any lesion, `(patients,)`.

    Returns:
        The 2.5 and the 97.5 percentile; a draw without lesions is left out.
    """
    value = measure(np.ones(len(lesions)))
    enough = np.count_nonzero(lesions) > 1 and np.isfinite(value)
    found = [drawn for drawn in map(measure, draws) if np.isfinite(drawn)] if enough else []
    if not found:
        return Estimate(value)
    low, high = np.percentile(found, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
