"""Whether rarities keep their promise in new scans, and how many findings there meet no lesion.

Rarity r promises that a share of 10^-r of the voxels is at least as rare. That holds in the scans
that a model was calibrated on; in others it is to be measured. A finding is what `ctscreener
screen` calls one at a threshold of r, whether its list is long enough for it or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ctscreener.components import regions_above
from ctscreener.findings import FindingSettings, fewest_voxels, order
from training.evaluation import results
from training.evaluation.froc import nearest
from training.evaluation.intervals import drawn, interval, plain
from training.evaluation.protocols import Truth

LEVELS = (1, 2, 3, 4)
"""Rarities at which the promise is checked."""
THRESHOLDS = (2, 3, 4)
"""Rarities at which findings are counted; at 1, half of a body is one region."""
COUNTED = ("above", "findings", "met", "listed", "listed_met")
"""What `Rarities` counts at each rarity."""
DIGITS = 9
"""Decimals kept: a share at rarity 4 has its first at the fourth."""


@dataclass(frozen=True)
class Rarities:
    """What one scan shows of its rarities: whole numbers that add up over scans and machines.

    Arguments:
        voxels: Scored voxels that are no lesion of any kind.
        above: Those at or above each of `LEVELS`, int64, `(4,)`.
        findings: Findings at each of `THRESHOLDS` that meet no lesion of any kind, int64, `(3,)`.
        met: Lesions that a finding at each of `THRESHOLDS` meets, int64, `(3,)`.
        listed: As `findings`, among those alone that a screening lists, int64, `(3,)`.
        listed_met: As `met`, by these alone, int64, `(3,)`.
        lesions: Lesions of the scan.
    """

    voxels: int
    above: np.ndarray
    findings: np.ndarray
    met: np.ndarray
    listed: np.ndarray
    listed_met: np.ndarray
    lesions: int

    @classmethod
    def none(cls) -> Self:
        """Of no voxel at all."""
        findings, met, listed, listed_met = np.zeros((4, len(THRESHOLDS)), np.int64)
        return cls(0, np.zeros(len(LEVELS), np.int64), findings, met, listed, listed_met, 0)

    @classmethod
    def of(cls, rarity: np.ndarray, truth: Truth) -> Self:
        """Count in one scan.

        Arguments:
            rarity: `(D, H, W)`, NaN where not scored.
            truth: Its lesions, on the same grid.
        """
        marked = (truth.region != 0) | ~truth.considered
        others = rarity[np.isfinite(rarity) & ~marked]
        # Only these can be part of a finding: a whole scan's names would need much memory.
        voxels = np.flatnonzero(rarity >= min(THRESHOLDS))
        near, name = _neighbours(voxels, marked, truth)
        fewest = fewest_voxels(truth.affine, FindingSettings())
        values = rarity.ravel()
        counts = []
        for threshold in THRESHOLDS:
            regions = sorted(
                regions_above(rarity, threshold, fewest), key=lambda region: order(values, region)
            )
            within = [np.searchsorted(voxels, region) for region in regions]
            counts.append(
                [
                    *_false_and_met(within, near, name),
                    *_false_and_met(within[: FindingSettings().most], near, name),
                ]
            )
        findings, met, listed, listed_met = np.array(counts, np.int64).T
        above = np.array([np.count_nonzero(others >= level) for level in LEVELS], np.int64)
        return cls(len(others), above, findings, met, listed, listed_met, truth.regions)

    @classmethod
    def from_plain(cls, numbers: Mapping[str, Any]) -> Self:
        """Read what `plain` gave."""
        counts = {name: np.array(numbers[name], np.int64) for name in COUNTED}
        return cls(voxels=numbers["voxels"], lesions=numbers["lesions"], **counts)

    def plain(self) -> dict[str, Any]:
        """All numbers of the scan by name, ready for JSON."""
        counts = {name: getattr(self, name).tolist() for name in COUNTED}
        return {"voxels": self.voxels, **counts, "lesions": self.lesions}

    def row(self) -> np.ndarray:
        """All numbers of the scan in a row, after a 1 for the scan itself, int64, `(19,)`."""
        found = self.findings, self.met, self.listed, self.listed_met
        return np.concatenate([[1, self.voxels], self.above, *found, [self.lesions]])


def _false_and_met(
    within: Sequence[np.ndarray], near: np.ndarray, name: np.ndarray
) -> tuple[int, int]:
    """How many findings meet no lesion, and how many lesions the others meet.

    Arguments:
        within: Places of each finding's voxels in what follows.
        near: As `_neighbours` gives it.
        name: As `_neighbours` gives it.
    """
    false = sum(not near[some].any() for some in within)
    return false, len({int(n) for some in within for n in np.unique(name[some])} - {0})


def _neighbours(
    voxels: np.ndarray, marked: np.ndarray, truth: Truth
) -> tuple[np.ndarray, np.ndarray]:
    """Which voxels are so near to something marked that a finding there is not false.

    As for the peaks of FROC: scores are coarser than voxels, and a lesion spoils those around it.

    Arguments:
        voxels: Flat indices, `(K,)`.
        marked: Lesions of any kind, bool, `(D, H, W)`.
        truth: The lesions that count.

    Returns:
        Whether each voxel is near a mark, bool, `(K,)`, and the lesion that it finds, from 1; 0
        for none, int64, `(K,)`.
    """
    at = np.stack(np.unravel_index(voxels, marked.shape), axis=1)
    near = nearest(at, marked, marked, truth.spacing) > 0
    return near, nearest(at, truth.region > 0, truth.region, truth.spacing)


def rarity_summary(
    scans: Sequence[Rarities], patients: Sequence[str], resamples: int, rng: np.random.Generator
) -> results.Rarities:
    """Put several scans together, ready for JSON.

    Arguments:
        scans: What was counted in each, at least one.
        patients: Whose scan each is.
        resamples: How often the patients are drawn for an interval.
        rng: Draws them.

    Returns:
        `scans`, `patients`, `lesions` and `levels`: for each of `LEVELS` the share of voxels that
        it promises, the share that there is, and from rarity 2 on findings a scan that meet no
        lesion, and the share of lesions that a finding meets (None where there is no lesion); then
        both of the findings alone that are listed.
    """
    number = np.unique(patients, return_inverse=True)[1]
    table = np.zeros((number.max() + 1, len(scans[0].row())), np.int64)
    np.add.at(table, number, [scan.row() for scan in scans])
    draws = drawn(len(table), resamples, rng)
    above = 2
    first = above + len(LEVELS)
    findings, met, listed, listed_met = (first + k * len(THRESHOLDS) for k in range(4))

    def ratio(column: int, whole: int) -> results.Interval:
        def measure(times: np.ndarray) -> float:
            total = float(times @ table[:, whole])
            return float(times @ table[:, column]) / total if total else float("nan")

        return plain(interval(measure, draws, table[:, whole] > 0), DIGITS)

    levels: list[results.Level] = []
    for k, level in enumerate(LEVELS):
        entry: results.Level = {
            "rarity": level,
            "promised": 10.0**-level,
            "share": ratio(above + k, 1),
        }
        if level in THRESHOLDS:
            at = THRESHOLDS.index(level)
            entry["findings"] = ratio(findings + at, 0)
            entry["met"] = ratio(met + at, -1) if table[:, -1].any() else None
            entry["listed"] = ratio(listed + at, 0)
            entry["listed_met"] = ratio(listed_met + at, -1) if table[:, -1].any() else None
        levels.append(entry)
    return {
        "scans": len(scans),
        "patients": len(table),
        "lesions": int(table[:, -1].sum()),
        "levels": levels,
    }
