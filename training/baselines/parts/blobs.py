"""Foreign blobs put into crops, in the shapes of the project's own synthetic anomalies."""

import numpy as np
import torch
from torch import Tensor

from ctscreener.scan import Shape
from training.baselines.parts.synthetic import others
from training.synthetic.shapes import draw_shape

HALF = 0.5
"""Share of a voxel that a blob fills where it counts as an anomaly."""


def draw_blob(
    shape: Shape, spacing: np.ndarray, radii: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Draw how much of each voxel of a crop a blob fills, 0 to 1, float32, `shape`.

    Arguments:
        shape: Voxels of the crop.
        spacing: Voxel size in mm, `(3,)`.
        radii: Least and largest radius in mm; every size between is as likely by its logarithm.
        rng: The source of chance.
    """
    radius = float(np.exp(rng.uniform(*np.log(radii))))
    share = draw_shape(radius, spacing, rng).share
    found = np.zeros(shape, np.float32)
    to, source = [], []
    for extent, side in zip(shape, share.shape, strict=True):
        first = int(rng.integers(extent)) - side // 2
        to.append(slice(max(0, first), min(extent, first + side)))
        source.append(slice(max(0, -first), max(0, -first) + to[-1].stop - to[-1].start))
    found[tuple(to)] = share[tuple(source)]
    return found


def with_blobs(
    clean: Tensor,
    body: Tensor,
    spacing: np.ndarray,
    radii: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Put a blob of another crop, made brighter or darker, into every crop.

    Arguments:
        clean: Values 0 to 1, `(m, 1, D, H, W)`.
        body: Where there may be anomalies, bool, the same shape.
        spacing: Voxel size in mm, `(3,)`.
        radii: Least and largest radius in mm.
        rng: The source of chance.

    Returns:
        The changed crops, and where they are changed, bool.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    changed, masks = [], []
    d, h, w = clean.shape[2:]
    for number, other in enumerate(others(len(clean), generator)):
        drawn = draw_blob((d, h, w), spacing, radii, rng)
        share = torch.from_numpy(drawn).to(clean.device)[None] * body[number]
        foreign = clean[other].flip([axis for axis in (1, 2, 3) if rng.random() < 0.5])
        foreign = (foreign + float(rng.uniform(-0.4, 0.4))).clamp(0, 1)
        changed.append((1 - share) * clean[number] + share * foreign)
        masks.append(share > HALF)
    return torch.stack(changed), torch.stack(masks)
