"""The liver: the homogeneous tissue under the dome of the right lung."""

import numpy as np
from scipy import ndimage

from training.inserted.organ import Organ, require
from training.inserted.overview import Overview, dilated, eroded, largest

NAME = "the liver"
OPENED_MM = 9.0
"""Parts thinner than twice this, such as muscles and the bridge to the heart, are cut off."""


def find_liver(view: Overview, lungs: Organ) -> Organ:
    """Find the liver, or what a scan shows of it.

    Arguments:
        view: The scan from afar.
        lungs: From `find_lungs`.

    Raises:
        InputError: `insert.organ`.
    """
    calm = view.smooth()
    seeds, dome, below = _under_the_dome(view, lungs)
    volume = float(seeds.sum()) * view.voxel_ml
    evidence = {
        "under_dome_ml": require(NAME, "tissue in ml under the right lung", volume, 60),
    }
    hu, width = _commonest(calm[seeds])
    evidence["hu"] = require(NAME, "HU", hu, 15, 190)
    alike = view.body & (np.abs(calm - hu) <= width)
    alike &= _reach(view, dome, below)
    core = eroded(alike, view.spacing, OPENED_MM)
    core = largest(core)
    mask = dilated(core, view.spacing, OPENED_MM) & alike
    evidence["volume_ml"] = require(
        NAME, "a volume in ml", float(mask.sum()) * view.voxel_ml, 350, 3500
    )
    evidence["seeds"] = require(
        NAME, "a share of the tissue under the lung", float(mask[seeds].mean()), 0.5
    )
    inner = eroded(mask, view.spacing, 6.0)
    evidence["spread_hu"] = require(NAME, "a spread in HU", float(calm[inner].std()), 0, 14)
    return Organ(mask, float(np.median(view.hu[inner])), evidence)


def _under_the_dome(view: Overview, lungs: Organ) -> tuple[np.ndarray, int, np.ndarray]:
    """Tissue 9 to 45 mm under the right lung's middle.

    Returns:
        The blocks, the dome's slice, and the columns that have right lung above, `(h, w)`.
    """
    right = lungs.mask.copy()
    right[:, :, int(view.midline) + 1 :] = False
    right = largest(right)
    foot = np.asarray(right.any(0))
    inner = eroded(foot, view.spacing[1:], 22.0)
    bottom = np.argmax(right, axis=0)
    seeds = np.zeros_like(right)
    if not inner.any():
        return seeds, 0, foot
    depth = (bottom - np.arange(len(right))[:, None, None]) * view.spacing[0]
    seeds = inner & (depth > 9) & (depth < 45) & view.body
    return seeds, int(np.percentile(bottom[inner], 98)), foot


def _commonest(values: np.ndarray) -> tuple[float, float]:
    """The commonest HU of some tissue, and how far others may be off to be of the same kind."""
    counts, edges = np.histogram(values, np.arange(-40, 260, 2.0))
    counts = ndimage.gaussian_filter1d(counts.astype(float), 2.5)
    hu = float(edges[np.argmax(counts)] + 1)
    near = np.abs(values - hu)
    spread = float(np.median(near[near < 25])) if (near < 25).any() else 0.0
    return hu, float(np.clip(3.5 * spread, 12, 24))


def _reach(view: Overview, dome: int, below: np.ndarray) -> np.ndarray:
    """Where a liver can lie: on the right and a little beyond, and under the heart."""
    slices = np.arange(view.hu.shape[0])[:, None, None]
    columns = np.arange(view.hu.shape[2])
    under_heart = slices < dome - 25 / view.spacing[0]
    lowest = slices > dome - 240 / view.spacing[0]
    side = columns < view.midline + 30 / view.spacing[2]
    return (below | under_heart) & lowest & side & (slices <= dome + 1)
