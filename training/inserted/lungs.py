"""The lungs: air inside the body that is not as empty as bowel gas."""

import numpy as np
from scipy import ndimage

from ctscreener.regions import label
from training.inserted.organ import Organ, require
from training.inserted.overview import Overview, dilated, eroded

AIR_HU = -500.0
"""Blocks below this hold more air than tissue."""
GAS_HU = -945.0
"""The middle of bowel gas, of the windpipe and of a stomach's bubble lies below; parenchyma, even
an emphysema's, lies above on the average of a whole lung."""
CORE_MM = 5.0
CLOSED_MM = 6.0
"""Vessels thinner than twice this are taken to be part of the lung."""


def find_lungs(view: Overview) -> Organ:
    """Find both lungs, or what a scan shows of them.

    Arguments:
        view: The scan from afar.

    Raises:
        InputError: `insert.organ`: too little lung, or on one side only.
    """
    air = view.body & (view.hu < AIR_HU)
    core = eroded(air, view.spacing, CORE_MM)
    parts = label(core)[0]
    lungs = np.zeros_like(core)
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        part = parts[box] == number
        is_large = part.sum() * view.voxel_ml > 40
        if is_large and np.median(view.hu[box][part]) > GAS_HU:
            lungs[box] |= part
    lungs = dilated(lungs, view.spacing, CORE_MM) & air & (_calm(view) > GAS_HU - 15)
    volume = float(lungs.sum()) * view.voxel_ml
    left = np.arange(lungs.shape[2]) > view.midline
    share = float(lungs[:, :, left].sum() / max(lungs.sum(), 1))
    evidence = {
        "volume_ml": require("the lungs", "a volume in ml", volume, 250),
        "share_left": require("the lungs", "a share on the left side", share, 0.12, 0.88),
    }
    hu = float(np.median(view.hu[lungs]))
    evidence["hu"] = require("the lungs", "a median HU", hu, GAS_HU, -550)
    # Beyond the ends of the scan the lungs are taken to go on.
    width = tuple((int(np.ceil(CLOSED_MM / s)) + 1,) * 2 for s in view.spacing)
    grown = dilated(np.pad(lungs, width, mode="edge"), view.spacing, CLOSED_MM)
    inner = eroded(grown, view.spacing, CLOSED_MM)
    cut = tuple(slice(a, size - b) for (a, b), size in zip(width, inner.shape, strict=True))
    return Organ(inner[cut] & view.body, hu, evidence)


def _calm(view: Overview) -> np.ndarray:
    """HU around each block: in the windpipe and the large bronchi it is that of empty air."""
    return ndimage.uniform_filter(view.hu, 3, mode="nearest")
