"""Findings: the connected regions of a scan that are rarer than a threshold, ranked."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from ctscreener.errors import InputError
from ctscreener.scan import Scan

NOTICE = "Research use only, not for diagnosis. Absence of colour is not absence of disease."
"""What every output says, word for word."""

Triple = tuple[float, float, float]
Index = tuple[int, int, int]


@dataclass(frozen=True)
class FindingSettings:
    """What counts as a finding."""

    threshold: float = 3.0
    """Rarity from which a voxel belongs to a finding: 3 is 1 reference voxel in 1,000."""
    min_volume_ml: float = 0.1
    """Smallest finding kept, in millilitres."""
    most: int = 50
    """Most findings kept: the ones with the highest peaks."""

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
    peaks = [int(region[np.argmax(values[region])]) for region in regions]
    parts = [part_at(_place(peak, scan)) for peak in peaks]
    here = [i for i, part in enumerate(parts) if wanted in (None, part)]
    order = sorted(here, key=lambda i: (-values[peaks[i]], -len(regions[i]), peaks[i]))
    kept = [
        _measure(rank, values, regions[i], peaks[i], scan, parts[i])
        for rank, i in enumerate(order[: settings.most], start=1)
    ]
    elsewhere = Counter(part for part in parts if wanted not in (None, part))
    return Found(kept, len(here), elsewhere)


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
    return (
        f"{total} regions lie above the threshold: the {kept} rarest are listed. A higher "
        "threshold gives fewer."
    )


def fewest_voxels(affine: np.ndarray, settings: FindingSettings) -> float:
    """Voxels that a finding has at least, on a grid of this affine."""
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    # A region of exactly the smallest volume stays, whatever the product was rounded to.
    return settings.min_volume_ml / voxel_ml * (1 - 1e-9)


def regions_above(rarity: np.ndarray, threshold: float, fewest: float = 1) -> list[np.ndarray]:
    """Split the voxels at or above a threshold into 26-connected regions.

    A region is put together from its runs of voxels along W, so that the time it takes grows
    with the voxels above the threshold and hardly with the scan.

    Arguments:
        rarity: Rarity, `(D, H, W)`; NaN is below every threshold.
        threshold: Lowest rarity that belongs to a region.
        fewest: Voxels that a region must have to be kept.

    Returns:
        For each region the flat indices of its voxels, ascending.
    """
    _, height, width = rarity.shape
    # Slice by slice: a mask of the whole scan would be a quarter of its map.
    above = [np.flatnonzero(one >= threshold) + d * one.size for d, one in enumerate(rarity)]
    voxels = np.concatenate(above) if above else np.zeros(0, int)
    if not len(voxels):
        return []
    first = np.flatnonzero((np.diff(voxels, prepend=-2) != 1) | (voxels % width == 0))
    length = np.diff(first, append=len(voxels))
    run_region = _join_runs(voxels[first], length, height, width)
    size = np.bincount(run_region, weights=length)
    region = np.repeat(run_region, length)
    kept = size[region] >= fewest
    voxels, region = voxels[kept], region[kept]
    order = np.argsort(region, kind="stable")
    ends = np.flatnonzero(np.diff(region[order])) + 1
    return np.split(voxels[order], ends) if len(voxels) else []


def _join_runs(start: np.ndarray, length: np.ndarray, height: int, width: int) -> np.ndarray:
    """Number the region of each run: one with those it touches in neighbouring rows.

    Arguments:
        start: Flat index of each run's first voxel, ascending.
        length: Its number of voxels.
        height: Rows of a slice.
        width: Voxels of a row.
    """
    row, low = np.divmod(start, width)
    # An empty row after every slice, and a gap after every row, keep the ends from touching.
    row += row // height
    high, stride = low + length - 1, width + 2
    lows, highs = row * stride + low, row * stride + high
    pairs = []
    for rows_on in (1, height, height + 1, height + 2):
        shift = rows_on * stride
        begin = np.searchsorted(highs, lows + shift - 1, side="left")
        count = np.searchsorted(lows, highs + shift + 1, side="right") - begin
        one = np.repeat(np.arange(len(start)), count)
        nth = np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
        pairs.append(np.stack([one, np.repeat(begin, count) + nth]))
    one, other = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(start),) * 2)
    return connected_components(links, directed=False)[1]


def _place(peak: int, scan: Scan) -> Triple:
    """RAS mm of a voxel, given by its flat index."""
    index = np.array(np.unravel_index(peak, scan.shape))
    right, anterior, superior = scan.affine[:3, :3] @ index + scan.affine[:3, 3]
    return float(right), float(anterior), float(superior)


def _measure(
    rank: int, values: np.ndarray, region: np.ndarray, peak: int, scan: Scan, part: str
) -> Finding:
    """Measure one region, given by the flat indices of its voxels."""
    index = np.stack(np.unravel_index(region, scan.shape), axis=1)
    peak_index = np.array(np.unravel_index(peak, scan.shape))
    voxel_ml = abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000
    return Finding(
        rank=rank,
        peak_rarity=float(values[peak]),
        mean_rarity=float(values[region].mean(dtype=np.float64)),
        volume_ml=len(region) * voxel_ml,
        diameter_mm=_diameter(index, scan),
        mean_hu=float(scan.hu[tuple(index.T)].mean(dtype=np.float64)),
        peak_ras=_place(peak, scan),
        peak_index=_triple(peak_index),
        box_min=_triple(index.min(axis=0)),
        box_max=_triple(index.max(axis=0)),
        voxels=len(region),
        part=part,
    )


def _triple(index: np.ndarray) -> Index:
    """Return an index as three plain numbers."""
    d, h, w = (int(i) for i in index)
    return d, h, w


def _diameter(index: np.ndarray, scan: Scan) -> float:
    """Longest straight line in mm through voxels `(n, 3)` in ascending order; see `Finding`."""
    corners = _corners(index)
    if len(corners) == 1:
        return float(scan.spacing.max())
    apart = pdist(corners @ scan.affine[:3, :3].T)
    # The line crosses half of either end voxel: half a step along its longest index axis.
    steps = pdist(corners, "chebyshev")
    farthest = apart >= apart.max() * (1 - 1e-9)
    return float((apart * (1 + 1 / steps))[farthest].max())


def _corners(index: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of voxels `(n, 3)` in ascending order; no others can be ends."""
    new_row = np.any(np.diff(index[:, :2], axis=0, prepend=-1) != 0, axis=1)
    ends = index[new_row | np.append(new_row[1:], True)].astype(np.float64)
    rank = int(np.linalg.matrix_rank(ends - ends[0]))
    if rank == 0:
        return ends[:1]
    # A flat region has a hull only in its plane; seen along a suitable axis it keeps its corners.
    axes = next(
        list(some)
        for some in combinations(range(3), rank)
        if np.linalg.matrix_rank((ends - ends[0])[:, some]) == rank
    )
    if rank == 1:
        along = ends[:, axes[0]]
        return ends[[along.argmin(), along.argmax()]]
    return ends[ConvexHull(ends[:, axes]).vertices]


_RARITY = "-log10 share of reference body voxels"
_UNITS = {
    "peak_rarity": _RARITY,
    "mean_rarity": _RARITY,
    "volume_ml": "ml",
    "diameter_mm": "mm",
    "mean_hu": "HU",
    "peak_ras": "mm to the right, anterior and superior of the patient",
    "peak_index": "voxel (d, h, w)",
    "box_min": "voxel (d, h, w)",
    "box_max": "voxel (d, h, w), included",
}


def findings_to_csv(findings: list[Finding], counted: float | None = None) -> str:
    """Write findings as a table, one a line; the column names hold the units.

    Arguments:
        findings: What `find` returned.
        counted: The highest rarity that was counted: beyond it numbers give an order alone.
            None where that is not known.
    """
    names = ["rank", "peak_rarity_log10", "mean_rarity_log10", "volume_ml", "diameter_mm"]
    names += ["mean_hu", "peak_right_mm", "peak_anterior_mm", "peak_superior_mm"]
    names += [f"{what}_{axis}_voxel" for what in ("peak", "box_min", "box_max") for axis in "dhw"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*names, "voxels", "part", "rarity_counted_up_to_log10"])
    end = "" if counted is None else f"{counted:.4f}"
    for one in findings:
        measured = (one.peak_rarity, one.mean_rarity, one.volume_ml, one.diameter_mm, one.mean_hu)
        numbers = [f"{number:.4f}" for number in (*measured, *one.peak_ras)]
        boxes = (*one.peak_index, *one.box_min, *one.box_max)
        table.writerow([one.rank, *numbers, *boxes, one.voxels, one.part, end])
    return text.getvalue()


def findings_to_json(
    findings: list[Finding],
    provenance: dict[str, object],
    total: int | None = None,
    counted: float | None = None,
    elsewhere: Mapping[str, int] | None = None,
) -> str:
    """Write findings with where they come from as strict JSON, which has no NaN.

    Arguments:
        findings: What `find` returned.
        provenance: Model, version, parameters and whatever else made these findings.
        total: How many there are without the limit of `FindingSettings.most`; as many when None.
        counted: As in `findings_to_csv`.
        elsewhere: How many more there are in each part of the body that was not asked for.

    Raises:
        ValueError: when a number is not finite.
    """
    far = "" if counted is None else f"; counted up to {counted:.2f}, beyond it an order alone"
    rarity = {name: unit + far for name, unit in _UNITS.items() if unit == _RARITY}
    data = {
        "format": "ctscreener.findings",
        "format_version": 1,
        "notice": NOTICE,
        "provenance": provenance,
        "units": _UNITS | rarity,
        "found": len(findings) if total is None else total,
        "elsewhere": dict(elsewhere or {}),
        "findings": [asdict(one) for one in findings],
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"
