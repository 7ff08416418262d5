"""Which voxels of a scan count, and on which grid: protocols that give different numbers.

The paper does not say it in full. The authors' public code draws voxels from the whole box around
the body, air included, which makes every scan count the same and air a cheap negative. Each
protocol is reported under its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from ctscreener.preprocess import PreprocessSettings, on_body_grid
from ctscreener.resampling import resample
from ctscreener.scan import Scan, reoriented_to_canonical
from training.evaluation.counts import BINS, Counts, histogram, keys

Protocol = Literal["body-only", "voxel-all", "authors"]
"""`body-only`: negatives are those that the model scores. `voxel-all`: every voxel of the file;
what is not scored has the lowest score of all. `authors`: at most 1,000 lesion voxels and 1,000
others of each scan, drawn with replacement from the box around the scored voxels."""
Grid = Literal["own", "prepared"]
"""`own`: the scan's. `prepared`: the one that the networks see, 1.5 x 1.5 x 2.25 mm."""

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
DRAWN = 1000
"""Voxels of each kind that `authors` draws from a scan at most."""
NEIGHBOURS = np.ones((3, 3, 3))
"""26-connected: the counterpart in three dimensions of the 8 neighbours in MVTec's PRO."""


@dataclass(frozen=True)
class Truth:
    """What is known of a scan, on the grid that it is measured on.

    Arguments:
        region: The lesion region of each voxel, from 1; 0 for none; -1 where the region is too
            small to count as one, int32, `(D, H, W)`.
        considered: Lesions and healthy voxels, without lesions of another kind, bool.
        affine: Voxel index to RAS mm, `(4, 4)`.
    """

    region: np.ndarray
    considered: np.ndarray
    affine: np.ndarray

    @classmethod
    def of(
        cls, labels: np.ndarray, affine: np.ndarray, label: int, ignore: bool, fewest: int = 1
    ) -> "Truth":
        """Tell the lesion regions of a mask apart.

        Arguments:
            labels: The mask, `(D, H, W)`.
            affine: Where it lies.
            label: Value of the lesions; 0 for any above 0.
            ignore: Leave out other values above 0; otherwise they are healthy tissue.
            fewest: Voxels that a region needs to count as one.
        """
        lesion = labels == label if label else labels > 0
        region = np.zeros(labels.shape, np.int32)
        for box in _boxes(lesion):
            ndimage.label(lesion[box], NEIGHBOURS, output=region[box])
            sizes = np.bincount(region[box].ravel())
            small = sizes < fewest
            small[0] = False
            region[box][small[region[box]]] = -1
        considered = lesion | (labels == 0) if ignore else np.ones(labels.shape, bool)
        return cls(region, considered, affine)

    @property
    def regions(self) -> int:
        """How many regions count as one."""
        return int(np.unique(self.region[self.region > 0]).size)

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring voxels along `(D, H, W)` in mm, `(3,)`."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


@dataclass(frozen=True)
class Place:
    """The grid that scores are compared with the truth on.

    Arguments:
        affine: Voxel index to RAS mm, `(4, 4)`.
        shape: Voxels along `(D, H, W)`.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, scan: Scan, grid: Grid, settings: PreprocessSettings) -> "Place":
        """Where a scan is measured.

        Raises:
            InputError: `scan.no_body`.
        """
        if grid == "own":
            return cls(scan.affine, scan.shape)
        hu, affine = on_body_grid(reoriented_to_canonical(scan), settings)
        depth, height, width = hu.shape
        return cls(affine, (depth, height, width))

    def of_scores(self, scores: np.ndarray, affine: np.ndarray) -> np.ndarray:
        """Scores here: those of the nearest voxels, NaN outside; untouched on their own grid."""
        if affine is self.affine:
            return scores
        return resample(scores, affine, self.affine, self.shape, np.nan, nearest=True)

    def of_truth(self, truth: Truth) -> Truth:
        """The truth here. Score and truth of a voxel come from one and the same voxel."""
        if truth.affine is self.affine:
            return truth
        region, considered = (
            resample(values, truth.affine, self.affine, self.shape, 0, nearest=True)
            for values in (truth.region, truth.considered.astype(np.uint8))
        )
        return Truth(region, considered > 0, self.affine)


def count(
    scores: np.ndarray, truth: Truth, protocols: Sequence[Protocol], seed: Sequence[int]
) -> dict[Protocol, Counts]:
    """Count the voxels of one scan by each protocol.

    Arguments:
        scores: `(D, H, W)`, NaN where not scored.
        truth: On the same grid.
        protocols: Which ones.
        seed: Decides what `authors` draws.
    """
    everything = Counts.of(scores, truth.region, truth.considered)
    counts: dict[Protocol, Counts] = {}
    for protocol in protocols:
        if protocol == "authors":
            counts[protocol] = drawn(scores, truth, everything, np.random.default_rng(seed))
        else:
            alone = protocol == "body-only"
            counts[protocol] = everything.scored_only() if alone else everything
    return counts


def drawn(
    scores: np.ndarray, truth: Truth, everything: Counts, rng: np.random.Generator
) -> Counts:
    """Draw voxels as the authors' code does, from the box around those that have a score.

    Parts of regions are not drawn but counted in full, and set against the drawn negatives: how
    the authors sampled for AUPRO is not known.
    """
    box = next(iter(_boxes(np.isfinite(scores))), None)
    inside = np.zeros(scores.shape, bool)
    if box is not None:
        inside[box] = True
    lesion = truth.region != 0
    # Lesion voxels beyond the box count as well: cutting them off would hide what is missed.
    kinds = truth.considered & inside & ~lesion, truth.considered & lesion
    negatives, positives = (scores[picked(some, DRAWN, rng)] for some in kinds)
    found = np.bincount(keys(positives), minlength=BINS)
    return Counts(histogram(negatives), found, everything.parts, everything.regions)


def picked(where: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Draw marked voxels with replacement, as many as there are at most.

    Their places are looked up slice by slice: a list of all of them would need more memory than
    the scan.

    Arguments:
        where: Marked voxels, bool, `(D, H, W)`.
        most: Voxels at most.
        rng: Draws them.

    Returns:
        Index arrays along D, H and W.
    """
    each = where.sum(axis=(1, 2))
    ends = np.cumsum(each)
    ranks = np.sort(rng.integers(0, ends[-1], min(most, int(ends[-1])))) if ends[-1] else ends[:0]
    depth = np.searchsorted(ends, ranks, side="right")
    inside = ranks - (ends - each)[depth]
    flat = [np.flatnonzero(where[d])[inside[depth == d]] for d in np.unique(depth)]
    height, width = np.divmod(np.concatenate([*flat, ends[:0]]), where.shape[2])
    return depth, height, width


def _boxes(where: np.ndarray) -> list[tuple[slice, ...]]:
    """The box around all marked voxels; none where there are none."""
    sides = []
    for axis in range(where.ndim):
        others = tuple(other for other in range(where.ndim) if other != axis)
        marked = np.flatnonzero(where.any(axis=others))
        if not len(marked):
            return []
        sides.append(slice(int(marked[0]), int(marked[-1]) + 1))
    return [tuple(sides)]
