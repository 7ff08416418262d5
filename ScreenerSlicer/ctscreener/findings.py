"""Findings: the connected regions of a scan that are rarer than a threshold, ranked."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ctscreener.components import regions_above
from ctscreener.diameter import diameter
from ctscreener.errors import InputError
from ctscreener.scan import Scan

NOTICE = "Research use only, not for diagnosis. Absence of colour is not absence of disease."
"""What every output says, word for word."""

Triple = tuple[float, float, float]
Index = tuple[int, int, int]
PIECE = 2**20
"""Voxels that are looked up at once."""


@dataclass(frozen=True)
class FindingSettings:
    """What counts as a finding."""

    threshold: float = 3.0
    """Rarity from which a voxel belongs to a finding: 3 is 1 reference voxel in 1,000."""
    min_volume_ml: float = 0.1
    """Smallest finding kept, in millilitres."""
    most: int = 5
    """Most findings listed: the ones with the highest peaks. A reader has to look at each, and most
    are false: so a scan shows no more than five for nothing. The rest is coloured and counted."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not np.isfinite(self.threshold) or not self.min_volume_ml >= 0 or self.most < 1:
            raise InputError(
                "findings.settings",
                "Expected a finite threshold, a smallest volume of 0 or more and at least one "
                f"finding, found {self.threshold}, {self.min_volume_ml} ml and {self.most}.",
                "Change these settings.",
            )


@dataclass(frozen=True)
class Finding:
    """One region whose voxels touch each other, by a face, an edge or a corner.

    Arguments:
        rank: 1 for the highest peak.
        peak_rarity: Highest rarity in it.
        mean_rarity: Mean rarity over its voxels.
        volume_ml: Its volume in millilitres.
        diameter_mm: Its longest straight line in mm: through the two voxel centres that are
            farthest apart, from where it enters the first voxel to where it leaves the last.
            For one voxel, its longest edge.
        mean_hu: Mean Hounsfield units over its voxels.
        peak_ras: Centre of the rarest voxel in mm to the right, anterior and superior. A bent
            region's centre can lie outside it; its rarest voxel cannot.
        peak_index: Index `(d, h, w)` of that voxel in the scan.
        box_min: Lowest indices `(d, h, w)` of its voxels.
        box_max: Highest indices `(d, h, w)` of its voxels, themselves included.
        voxels: How many voxels it has.
        part: `torso`, `arms`, `head` or `legs`, where its peak is; empty where that is not known.
    """

    rank: int
    peak_rarity: float
    mean_rarity: float
    volume_ml: float
    diameter_mm: float
    mean_hu: float
    peak_ras: Triple
    peak_index: Index
    box_min: Index
    box_max: Index
    voxels: int
    part: str = ""


@dataclass(frozen=True)
class Found:
    """All that lies above a threshold.

    Arguments:
        findings: The ones that are listed, by peak rarity, then by size, then by the peak's index.
        total: How many there are without the limit of `FindingSettings.most`.
        elsewhere: How many more there are in each part that was not asked for.
    """

    findings: list[Finding]
    total: int
    elsewhere: Mapping[str, int]


def find(rarity: np.ndarray, scan: Scan, settings: FindingSettings | None = None) -> list[Finding]:
    """Find and rank the regions at or above the threshold.

    Arguments:
        rarity: Rarity on the scan's grid, `(D, H, W)`; NaN where not scored, never a finding.
        scan: The scan that was scored.
        settings: What counts as a finding; the defaults when None.

    Returns:
        By peak rarity, then by size, then by the peak's index, so that the order is certain.
    """
    return found_in_parts(rarity, scan, settings).findings


def found_in_parts(
    rarity: np.ndarray,
    scan: Scan,
    settings: FindingSettings | None = None,
    part_at: Callable[[Triple], str] = lambda _ras: "",
    wanted: str | None = None,
) -> Found:
    """Find and rank as `find` does, in one part of the body alone.

    Arguments:
        rarity: As in `find`.
        scan: As in `find`.
        settings: As in `find`.
        part_at: Names the part at a point, RAS mm.
        wanted: The part whose findings are listed; those of all parts when None.
    """
    settings = settings or FindingSettings()
    assert rarity.shape == scan.shape, "a map is as large as its scan"
    values = rarity.ravel()
    regions = regions_above(rarity, settings.threshold, fewest_voxels(scan.affine, settings))
    keys = [order(values, region) for region in regions]
    peaks = [peak for _, _, peak in keys]
    parts = [part_at(_place(peak, scan)) for peak in peaks]
    here = [i for i, part in enumerate(parts) if wanted in (None, part)]
    ranked = sorted(here, key=lambda i: keys[i])
    kept = [
        _measure(rank, values, regions[i], peaks[i], scan, parts[i])
        for rank, i in enumerate(ranked[: settings.most], start=1)
    ]
    elsewhere = Counter(part for part in parts if wanted not in (None, part))
    return Found(kept, len(here), elsewhere)


def order(values: np.ndarray, region: np.ndarray) -> tuple[float, int, int]:
    """What findings are sorted by: peak rarity, then size, then the peak's index.

    Arguments:
        values: All rarities, `(D * H * W,)`.
        region: Flat indices of the finding's voxels, ascending.
    """
    peak = int(region[np.argmax(values[region])])
    return -float(values[peak]), -len(region), peak


def told_of_parts(elsewhere: Mapping[str, int]) -> str:
    """Say that there are findings in parts that the model does not know, as a notice."""
    count = sum(elsewhere.values())
    where = ", ".join(f"{part} {number}" for part, number in sorted(elsewhere.items()))
    return (
        f"{count} finding{'s' * (count != 1)} beyond the torso ({where}) "
        f"{'is' if count == 1 else 'are'} coloured, but not listed: the model was made of torsos, "
        "and every other part is rare to it. --all-parts lists them."
    )


def told_of_limit(kept: int, total: int) -> str:
    """Say that there are more findings than are listed, as a notice."""
    listed = "the rarest is" if kept == 1 else f"the {kept} rarest are"
    return (
        f"{total} regions lie above the threshold and are coloured: {listed} listed. "
        f"--most {total} lists all of them; a higher threshold gives fewer."
    )


def fewest_voxels(affine: np.ndarray, settings: FindingSettings) -> float:
    """Voxels that a finding has at least, on a grid of this affine."""
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    # A region of exactly the smallest volume stays, whatever the product was rounded to.
    return settings.min_volume_ml / voxel_ml * (1 - 1e-9)


def _place(peak: int, scan: Scan) -> Triple:
    """RAS mm of a voxel, given by its flat index."""
    index = np.array(np.unravel_index(peak, scan.shape))
    right, anterior, superior = scan.affine[:3, :3] @ index + scan.affine[:3, 3]
    return float(right), float(anterior), float(superior)


def _measure(
    rank: int, values: np.ndarray, region: np.ndarray, peak: int, scan: Scan, part: str
) -> Finding:
    """Measure one region, given by the flat indices of its voxels."""
    index = np.stack(np.unravel_index(_row_ends(region, scan.shape[2]), scan.shape), axis=1)
    peak_index = np.array(np.unravel_index(peak, scan.shape))
    voxel_ml = abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000
    return Finding(
        rank=rank,
        peak_rarity=float(values[peak]),
        mean_rarity=float(values[region].mean(dtype=np.float64)),
        volume_ml=len(region) * voxel_ml,
        diameter_mm=diameter(index, scan.affine),
        mean_hu=_mean_at(scan.hu, region),
        peak_ras=_place(peak, scan),
        peak_index=_triple(peak_index),
        box_min=_triple(index.min(axis=0)),
        box_max=_triple(index.max(axis=0)),
        voxels=len(region),
        part=part,
    )


def _row_ends(region: np.ndarray, width: int) -> np.ndarray:
    """The voxels of a region that begin or end a run in a row: its box and hull are theirs."""
    apart = np.ones(len(region) + 1, bool)
    # In the type of the indices: a region may be most of a long scan.
    apart[1:-1] = region[1:] - region[:-1] != 1
    column = region % width
    return region[apart[:-1] | apart[1:] | (column == 0) | (column == width - 1)]


def _mean_at(hu: np.ndarray, region: np.ndarray) -> float:
    """Mean of voxels given by their flat indices, piece by piece: a region may be most of a scan."""
    pieces = np.split(region, range(PIECE, len(region), PIECE))
    sums = (hu[np.unravel_index(one, hu.shape)].sum(dtype=np.float64) for one in pieces)
    return float(sum(sums)) / len(region)


def _triple(index: np.ndarray) -> Index:
    """Return an index as three plain numbers."""
    d, h, w = (int(i) for i in index)
    return d, h, w
