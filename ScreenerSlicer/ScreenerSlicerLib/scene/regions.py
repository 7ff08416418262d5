"""The regions of a map: which of them holds a voxel, and which a finding is. No MRML here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from ctscreener.components import regions_above
from ctscreener.findings import Finding, Index


@final
class Regions:
    """The connected regions of a map at or above a threshold.

    Arguments:
        rarity: The map, `(D, H, W)`.
        threshold: Lowest rarity of a region.

    Attributes:
        voxels: Of each region the flat indices of its voxels, ascending.

    Example:
        >>> regions = Regions(np.array([[[5.0, 0.0, 4.0, 4.0]]]), 3.0)
        >>> regions.holding([(0, 0, 3), (0, 0, 1)])
        array([ 1, -1])
    """

    def __init__(self, rarity: np.ndarray, threshold: float) -> None:
        self.voxels = regions_above(rarity, threshold)
        self._shape = rarity.shape

    def holding(self, index: Sequence[Index]) -> np.ndarray:
        """Return the number of the region that holds each voxel, -1 where none does, `(N,)`."""
        if not (self.voxels and index):
            return np.full(len(index), -1)
        flat = np.concatenate(self.voxels)
        number = np.repeat(np.arange(len(self.voxels)), [len(one) for one in self.voxels])
        order = np.argsort(flat)
        wanted = np.ravel_multi_index(np.array(index).T, self._shape)
        place = np.minimum(np.searchsorted(flat, wanted, sorter=order), len(flat) - 1)
        return np.where(flat[order[place]] == wanted, number[order[place]], -1)


@dataclass(frozen=True)
class Region:
    """A finding with its voxels.

    Arguments:
        finding: What was measured.
        voxels: Their flat indices in the scan, ascending, `(N,)`.
    """

    finding: Finding
    voxels: np.ndarray


def regions_of(findings: Sequence[Finding], rarity: np.ndarray, threshold: float) -> list[Region]:
    """Find the voxels of findings.

    Arguments:
        findings: Some or all that the threshold gives.
        rarity: The map, `(D, H, W)`.
        threshold: The threshold that they were found with.
    """
    regions = Regions(rarity, threshold)
    numbers = regions.holding([one.peak_index for one in findings])
    assert np.all(numbers >= 0), "findings of another map or another threshold"
    return [
        Region(one, regions.voxels[number]) for one, number in zip(findings, numbers, strict=True)
    ]
