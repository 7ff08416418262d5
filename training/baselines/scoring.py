"""A rival's map on the grid of a scan."""

import numpy as np
import torch

from ctscreener.device import find_device
from ctscreener.preprocess import prepare, restore
from ctscreener.scan import Scan
from ctscreener.screening import ScreenSettings, score
from training.baselines.method import Rival, WholeScan
from training.baselines.trivial import masked


def rival_map(rival: Rival, scan: Scan, body: np.ndarray, settings: ScreenSettings) -> np.ndarray:
    """Score a scan as a screening scores it: in tiles that overlap, joined by their average.

    Arguments:
        rival: What scores.
        scan: The scan, in HU.
        body: Which voxels to score, bool, in the scan's shape.
        settings: Overlap, batch, device and precision.

    Returns:
        float32 on the scan's grid, higher is rarer, NaN outside of `body`.

    Raises:
        InputError: Those of `prepare`.
    """
    if isinstance(rival, WholeScan):
        return rival.map(scan, body)
    prepared = prepare(scan, rival.settings.preprocess)
    scored = score(prepared, rival, settings, torch.device(find_device(settings.device)))
    return masked(restore(scored.scores, scored.affine, prepared, scan), body)
