"""Scoring a whole scan at once, by a scorer that needs no tiles."""

from typing import Any

import numpy as np
import torch
from scipy import ndimage

from ctscreener.fallback import Notice
from ctscreener.preprocess import Prepared
from ctscreener.progress import Progress
from ctscreener.scan import Shape
from ctscreener.scorer import Scored, WholeScorer
from ctscreener.tiled import autocast, part_of

PROCESSOR = torch.device("cpu")


def score_whole(
    prepared: Prepared,
    networks: WholeScorer[Any],
    reduced: bool,
    device: torch.device,
    progress: Progress,
    notice: Notice,
) -> Scored:
    """Score a prepared scan as a whole; on the processor where the card has too little memory.

    Arguments:
        prepared: The scan, in HU.
        networks: What scores it.
        reduced: Networks in bfloat16.
        device: Where to.
        progress: Told about every step.
        notice: Told where it is not done as it was asked for.
    """
    try:
        return _score(prepared, networks, reduced, device, progress)
    except torch.OutOfMemoryError:
        if device.type == "cpu":
            raise
        torch.cuda.empty_cache()
        notice(
            "device.processor",
            "The graphics card's memory is full: going on with the processor. This takes several "
            "times longer.",
        )
        return _score(prepared, networks, reduced, PROCESSOR, progress)


def _score(
    prepared: Prepared,
    networks: WholeScorer[Any],
    reduced: bool,
    device: torch.device,
    progress: Progress,
) -> Scored:
    networks.ready(device)

    def step(done: int, total: int) -> None:
        progress("scoring", done, total)

    with torch.inference_mode(), autocast(device, reduced):
        scores, stride = networks.whole(prepared.image, prepared.body, device, step)
    wanted = part_of(prepared.body, prepared.region)
    scores[~near(wanted, stride)] = np.nan
    return Scored(scores, strided_affine(prepared.affine, stride), 1, device)


def near(body: np.ndarray, stride: Shape) -> np.ndarray:
    """Voxels of a strided grid that scores of the body's voxels are interpolated from.

    Arguments:
        body: Bool, `(D, H, W)`.
        stride: Voxels of the body's grid between two of the other; k lies at `k * stride`.

    Returns:
        Bool, `(ceil(D / stride), ...)`.
    """
    reach = [2 * unit - 1 for unit in stride]
    grown = ndimage.maximum_filter(body, reach, mode="constant")
    return np.asarray(grown[tuple(slice(None, None, unit) for unit in stride)])


def strided_affine(affine: np.ndarray, stride: Shape) -> np.ndarray:
    """The affine of the grid whose voxel k lies at the voxel `k * stride` of another."""
    strided = affine.copy()
    strided[:3, :3] = affine[:3, :3] * np.array(stride)
    return strided
