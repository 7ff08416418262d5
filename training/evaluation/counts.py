"""Voxels at each score, in three histograms that add up over scans, workers and machines.

Every metric here needs no more than the number of lesion voxels, of other voxels, and of parts of
lesion regions at every score. Scores are rounded to float16 and counted by their 65,536 bit
patterns, put in the order of the numbers: no range to choose, a memory that does not grow with the
scans, and whole numbers, so that merging in any order gives the same digits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np

BINS = 1 << 16
"""Bit patterns of a float16."""
UNSCORED = 0
"""Bin of voxels without a score: below minus infinity, where no number falls."""
LARGEST = float(np.finfo(np.float16).max)
"""Scores beyond are counted as this one."""
WHOLE = 1 << 40
"""Parts that a lesion region has: 8 million regions fit into 64 bits."""
CHUNK = 1 << 20
"""Voxels counted at a time."""


@dataclass(frozen=True)
class Counts:
    """Voxels at each score, rarest score last.

    Arguments:
        negatives: Voxels without a lesion, int64, `(BINS,)`.
        positives: Lesion voxels, int64, `(BINS,)`.
        parts: Lesion regions, each of which has `WHOLE` parts spread evenly over its voxels,
            int64, `(BINS,)`.
        regions: How many regions these are the parts of.

    Example:
        >>> counts = Counts.of(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1]))
        >>> int(counts.negatives.sum()), int(counts.positives.sum()), counts.regions
        (1, 2, 1)
    """

    negatives: np.ndarray
    positives: np.ndarray
    parts: np.ndarray
    regions: int

    @classmethod
    def none(cls) -> Self:
        """No voxel at all: what a sum starts with."""
        negatives, positives, parts = np.zeros((3, BINS), np.int64)
        return cls(negatives, positives, parts, 0)

    @classmethod
    def of(
        cls, scores: np.ndarray, region: np.ndarray, considered: np.ndarray | None = None
    ) -> Self:
        """Count the voxels of one scan.

        Arguments:
            scores: Anomaly scores, higher is rarer, NaN where not scored, any shape.
            region: The lesion region that each voxel belongs to, from 1; 0 for none; a negative
                number for a lesion that counts voxel by voxel but not as a region. Whole numbers
                or bool, the same shape.
            considered: Which voxels count at all, bool, the same shape; None for all.

        Returns:
            A voxel without a score counts as if it had the lowest of all; see `scored_only`.
        """
        scores, region = scores.ravel(), region.ravel()
        everything = histogram(scores if considered is None else scores[considered.ravel()])
        lesion = np.flatnonzero(region)
        if considered is not None:
            lesion = lesion[considered.ravel()[lesion]]
        at, belongs = keys(scores[lesion]), region[lesion].astype(np.int64)
        positives = np.bincount(at, minlength=BINS)
        inside = belongs > 0
        parts, regions = _parts(at[inside], belongs[inside])
        return cls(everything - positives, positives, parts, regions)

    def __add__(self, other: "Counts") -> "Counts":
        """Pool two sets of voxels."""
        return Counts(
            self.negatives + other.negatives,
            self.positives + other.positives,
            self.parts + other.parts,
            self.regions + other.regions,
        )

    def scored_only(self) -> "Counts":
        """The same without the negatives that have no score, such as the air around a patient.

        Lesion voxels stay: one that a model does not score is one that it misses.
        """
        negatives = self.negatives.copy()
        negatives[UNSCORED] = 0
        return Counts(negatives, self.positives, self.parts, self.regions)

    @property
    def unscored(self) -> float:
        """Share of lesion voxels that have no score; NaN where there is no lesion."""
        total = self.positives.sum()
        return float(self.positives[UNSCORED] / total) if total else float("nan")

    def packed(self) -> dict[str, np.ndarray]:
        """The bins that anything falls into, for a file; see `unpacked`."""
        used = np.flatnonzero(self.negatives | self.positives | self.parts)
        table = np.stack([self.negatives[used], self.positives[used], self.parts[used]])
        return {"bins": used, "table": table, "regions": np.array(self.regions)}

    @classmethod
    def unpacked(cls, bins: np.ndarray, table: np.ndarray, regions: np.ndarray) -> Self:
        """Counts from what `packed` gave."""
        full = np.zeros((3, BINS), np.int64)
        full[:, bins] = table
        negatives, positives, parts = full
        return cls(negatives, positives, parts, int(regions))


def pooled(scans: Iterable[Counts]) -> Counts:
    """All voxels of several scans together."""
    return reduce(Counts.__add__, scans, Counts.none())


def histogram(scores: np.ndarray) -> np.ndarray:
    """Count scores by their `keys`, `(BINS,)`, int64.

    The bit patterns are counted as they come and put into order afterwards: 65,536 moves in place
    of one for each voxel.

    Arguments:
        scores: Any shape, float; NaN counts in `UNSCORED`.
    """
    flat, total = scores.ravel(), np.zeros(BINS, np.int64)
    for start in range(0, len(flat), CHUNK):
        total += np.bincount(_bits(flat[start : start + CHUNK]), minlength=BINS)
    ordered = np.zeros(BINS, np.int64)
    np.add.at(ordered, _ORDER, total)
    return ordered


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
    return _ORDER[_bits(scores.ravel())]


def score_of(bins: np.ndarray) -> np.ndarray:
    """The score that a bin stands for, float64; NaN for those that no number falls into.

    Example:
        >>> score_of(keys(np.array([-1.5, 0.0, 3.0]))).tolist()
        [-1.5, 0.0, 3.0]
    """
    return _SCORES[bins]


def _bits(scores: np.ndarray) -> np.ndarray:
    """Bit patterns of scores as float16, uint16."""
    # NaN stays NaN; what float16 cannot hold is its largest number.
    return np.clip(scores, -LARGEST, LARGEST).astype(np.float16).view(np.uint16)


def _order() -> np.ndarray:
    """The place of each bit pattern in the order of the numbers, int64, `(BINS,)`."""
    bits = np.arange(BINS, dtype=np.uint16)
    ordered = np.where(bits >> 15, ~bits, bits | np.uint16(0x8000)).astype(np.int64)
    # Minus zero is the same number as zero.
    ordered[0x8000] = ordered[0]
    ordered[np.isnan(bits.view(np.float16))] = UNSCORED
    return ordered


def _score_of_bins() -> np.ndarray:
    scores = np.full(BINS, np.nan)
    values = np.arange(BINS, dtype=np.uint16).view(np.float16).astype(np.float64)
    finite = np.flatnonzero(np.isfinite(values))
    scores[_ORDER[finite]] = values[finite] + 0.0
    return scores


_ORDER = _order()
_SCORES = _score_of_bins()


def _parts(at: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, int]:
    """Spread the parts of each region over its voxels' scores.

    Arguments:
        at: Key of each voxel, `(P,)`.
        region: Its region, from 1, `(P,)`.

    Returns:
        Parts at each key, int64, `(BINS,)`, and the number of regions.
    """
    names, index, sizes = np.unique(region, return_inverse=True, return_counts=True)
    pairs, voxels = np.unique(index * BINS + at, return_counts=True)
    which, key = np.divmod(pairs, BINS)
    # Whole numbers, rounded once a region and score: no order of merging can change the sum.
    share = np.rint(voxels / sizes[which] * WHOLE).astype(np.int64)
    parts = np.zeros(BINS, np.int64)
    np.add.at(parts, key, share)
    return parts, len(names)
