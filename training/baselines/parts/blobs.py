"""Foreign blobs put into crops, in the shapes of the project's own synthetic anomalies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ctscreener.scan import Shape
from training.baselines.parts.synthetic import others
from training.data.chance import chances_of
from training.data.parcel import Parcel, pack
from training.synthetic.shapes import draw_shape

HALF = 0.5
"""Share of a voxel that a blob fills where it counts as an anomaly."""


@dataclass(frozen=True)
class Blob:
    """What a blob shows, and where it is from.

    Arguments:
        other: Number of the crop that it shows.
        turned: Axes of `(1, D, H, W)` along which that one is turned over.
        brighter: What is added to its values.
    """

    other: int
    turned: Sequence[int]
    brighter: float


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


def draw_blobs(
    count: int,
    shape: Shape,
    spacing: np.ndarray,
    radii: tuple[float, float],
    rng: np.random.Generator,
) -> Parcel:
    """Draw a blob for every crop of a batch, on the host.

    Arguments:
        count: Crops.
        shape: Voxels of a crop.
        spacing: Voxel size in mm, `(3,)`.
        radii: Least and largest radius in mm.
        rng: The source of chance.

    Returns:
        `share`, how much of each voxel they fill, float32, `(count, D, H, W)`; the fact `blobs` is
        a `Blob` for each.
    """
    chances = chances_of(int(rng.integers(2**62)), torch.device("cpu"))
    shares, blobs = [], []
    for other in others(count, chances):
        shares.append(draw_blob(shape, spacing, radii, rng))
        turned = [axis for axis in (1, 2, 3) if rng.random() < 0.5]
        blobs.append(Blob(other, turned, float(rng.uniform(-0.4, 0.4))))
    return pack({"share": np.stack(shares)}, {"blobs": blobs})


def with_blobs(clean: Tensor, body: Tensor, drawn: Parcel) -> tuple[Tensor, Tensor]:
    """Put a blob of another crop, made brighter or darker, into every crop.

    Arguments:
        clean: Values 0 to 1, `(m, 1, D, H, W)`.
        body: Where there may be anomalies, bool, the same shape.
        drawn: The blobs, from `draw_blobs`.

    Returns:
        The changed crops, and where they are changed, bool.
    """
    shares = drawn.opened(clean.device)["share"]
    changed, masks = [], []
    for number, blob in enumerate(drawn.facts["blobs"]):
        share = shares[number][None] * body[number]
        foreign = (clean[blob.other].flip(blob.turned) + blob.brighter).clamp(0, 1)
        changed.append((1 - share) * clean[number] + share * foreign)
        masks.append(share > HALF)
    return torch.stack(changed), torch.stack(masks)
