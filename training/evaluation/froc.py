"""Free-response ROC: lesions found against false findings a scan, from the peaks of a map.

A finding is a peak: the highest score within `REACH_MM` around it. Every threshold then gives a
list of findings without a threshold having been chosen first, and lists of scans can be joined.
Scheme: lists of marks with scores, as in Setio et al., "LUNA16", Medical Image Analysis 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from ctscreener.components import regions_above

REACH_MM = 10.0
"""Half the side of the cube that holds one peak; lower peaks in it are no findings."""
NEAR_MM = 5.0
"""A peak so near to a lesion finds it: scores are coarser than voxels."""
MOST = 1000
"""Peaks of a scan that are kept: the highest."""
RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
"""False findings a scan at which the sensitivity is averaged, as in LUNA16."""


@dataclass(frozen=True)
class Marks:
    """The peaks of one scan, highest first.

    Arguments:
        scores: Score of each peak, float32, `(K,)`.
        lesion: The lesion that it finds, from 1; 0 for none, int32, `(K,)`.
        lesions: How many lesions the scan has.
    """

    scores: np.ndarray
    lesion: np.ndarray
    lesions: int

    @classmethod
    def of(
        cls,
        scores: np.ndarray,
        region: np.ndarray,
        spacing: np.ndarray,
        ignored: np.ndarray | None = None,
    ) -> Self:
        """Find the peaks of a map.

        Arguments:
            scores: `(D, H, W)`, NaN where not scored.
            region: The lesion of each voxel, from 1; 0 for none; negative for lesions that are
                not sought, `(D, H, W)`.
            spacing: mm along `(D, H, W)`.
            ignored: Voxels where a peak is neither right nor wrong, bool, `(D, H, W)`.
        """
        at = peaks(scores, spacing)
        order = np.argsort(-scores[tuple(at.T)], kind="stable")[:MOST]
        at = at[order]
        found = nearest(at, region > 0, region, spacing)
        unclear = (region < 0) if ignored is None else (region < 0) | ignored
        neither = (found == 0) & (nearest(at, unclear, unclear, spacing) > 0)
        at, found = at[~neither], found[~neither]
        lesions = int(np.unique(region[region > 0]).size)
        return cls(scores[tuple(at.T)].astype(np.float32), found.astype(np.int32), lesions)


def peaks(scores: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Voxels that nothing within `REACH_MM` is higher than; a plateau has one, its first.

    Arguments:
        scores: `(D, H, W)`, NaN where not scored.
        spacing: mm along `(D, H, W)`.

    Returns:
        Indices, int64, `(K, 3)`.
    """
    values = np.where(np.isnan(scores), -np.inf, scores).astype(np.float32)
    size = [2 * int(REACH_MM / step) + 1 for step in spacing]
    top = (values == ndimage.maximum_filter(values, size, mode="nearest")) & ~np.isnan(scores)
    # Tops that touch are one plateau; there are few, so that runs of them are quickly joined.
    first = np.array([region[0] for region in regions_above(top, 0.5)], np.int64)
    return np.stack(np.unravel_index(first, scores.shape), axis=1)


def nearest(
    at: np.ndarray, where: np.ndarray, name: np.ndarray, spacing: np.ndarray
) -> np.ndarray:
    """The name of the nearest marked voxel within `NEAR_MM` of each point; 0 for none.

    Arguments:
        at: Indices, `(K, 3)`.
        where: Marked voxels, bool, `(D, H, W)`.
        name: What they are called, `(D, H, W)`.
        spacing: mm along `(D, H, W)`.
    """
    voxels = np.argwhere(where)
    if not len(voxels) or not len(at):
        return np.zeros(len(at), np.int64)
    tree, reach = KDTree(voxels * spacing), NEAR_MM * (1 + 1e-9)
    apart, index = map(np.asarray, tree.query(at * spacing, distance_upper_bound=reach))
    close = np.isfinite(apart)
    result = np.zeros(len(at), np.int64)
    result[close] = name[tuple(voxels[index[close]].T)]
    return result


@dataclass(frozen=True)
class Joined:
    """The peaks of several scans in one list, highest first.

    Arguments:
        scan: The scan of each peak, `(K,)`.
        new: Which ones find a lesion that none before has found, bool, `(K,)`.
        false: Which ones find none, bool, `(K,)`.
        last: Which ones are the last of equal scores, bool, `(K,)`.
        lesions: Lesions of each scan, `(N,)`.
    """

    scan: np.ndarray
    new: np.ndarray
    false: np.ndarray
    last: np.ndarray
    lesions: np.ndarray

    @classmethod
    def of(cls, scans: Sequence[Marks]) -> Self:
        """Join the lists of at least one scan."""
        scores = np.concatenate([s.scores for s in scans])
        order = np.argsort(-scores, kind="stable")
        return cls(
            np.repeat(np.arange(len(scans)), [len(s.scores) for s in scans])[order],
            np.concatenate([_first_hits(s.lesion) for s in scans])[order],
            np.concatenate([s.lesion == 0 for s in scans])[order],
            # Equal scores are all found or none.
            np.append(np.diff(scores[order]) != 0, True)[: len(order)],
            np.array([s.lesions for s in scans]),
        )

    def curve(self, times: np.ndarray | None = None) -> np.ndarray:
        """False findings a scan, and share of lesions found, at every threshold.

        Arguments:
            times: How often each scan counts, `(N,)`; None for once each.

        Returns:
            `(points, 2)`, from no finding to all; empty without lesions.
        """
        times = np.ones(len(self.lesions)) if times is None else times
        lesions = float(times @ self.lesions)
        if not lesions:
            return np.zeros((0, 2))
        weight = times[self.scan]
        false, new = (np.cumsum(weight * what)[self.last] for what in (self.false, self.new))
        points = np.stack([false / times.sum(), new / lesions], axis=1)
        return np.concatenate([np.zeros((1, 2)), points])


def sensitivity(points: np.ndarray, rates: Sequence[float] = RATES) -> float:
    """Share of lesions found, averaged over some numbers of false findings a scan.

    Arguments:
        points: What `Joined.curve` returned.
        rates: False findings a scan; between points the lower one counts.
    """
    if not len(points):
        return float("nan")
    at = np.searchsorted(points[:, 0], rates, side="right") - 1
    return float(points[at, 1].mean())


def _first_hits(lesion: np.ndarray) -> np.ndarray:
    """Which peaks, highest first, find a lesion that none before has found."""
    new = np.zeros(len(lesion), bool)
    new[np.unique(lesion, return_index=True)[1]] = True
    return new & (lesion > 0)
