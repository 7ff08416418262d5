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
    start, length = _runs(rarity, threshold)
    if not len(start):
        return []
    region = _join_runs(start, length, height, width)
    size = np.bincount(region, weights=length)
    # Runs that are not kept are never written out: of a long scan they would fill the memory.
    kept = np.flatnonzero(size[region] >= fewest)
    kept = kept[np.argsort(region[kept], kind="stable")]
    start, length, region = start[kept], length[kept], region[kept]
    voxels = _written_out(start, length, np.int32 if rarity.size < 2**31 else np.int64)
    new = np.flatnonzero(np.diff(region)) + 1
    return np.split(voxels, np.cumsum(length)[new - 1]) if len(voxels) else []


def _runs(rarity: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Flat index of the first voxel, and number of voxels, of every run along W, ascending."""
    starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    # Slice by slice: a mask of the whole scan would be a quarter of its map.
    for d, one in enumerate(rarity):
        above = np.flatnonzero(one >= threshold)
        new_row = above % one.shape[1] == 0
        first = np.flatnonzero((np.diff(above, prepend=-2) != 1) | new_row)
        starts.append(above[first] + d * one.size)
        lengths.append(np.diff(first, append=len(above)))
    return np.concatenate(starts), np.concatenate(lengths)


def _written_out(start: np.ndarray, length: np.ndarray, dtype: type) -> np.ndarray:
    """Flat indices of the voxels of runs, run by run."""
    before = np.cumsum(length) - length
    voxels = np.arange(length.sum(), dtype=dtype)
    voxels += np.repeat((start - before).astype(dtype), length)
    return voxels


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
