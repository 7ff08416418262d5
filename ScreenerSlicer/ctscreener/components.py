"""Connected components of a map: its voxels above a threshold, split where they do not touch."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


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
