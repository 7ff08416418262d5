"""The student: one network that predicts the scores of a whole model, many times faster.

It learnt them from a model of three networks, its teacher (Goncharov et al., arXiv 2502.08321, the
later version). All of it runs on the pooled grid: the voxels of a block are channels of one voxel
there, as are its position in the body and whether it is body, which the teacher's scores depend on.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.conditions import sincos
from ctscreener.networks import NetworkSettings, Shape, UNet

MOST_SPREADS = 1e4
"""Scores end so far from their middle: an absurd voxel stays finite, and one of the rarest."""


@dataclass(frozen=True)
class StudentSettings:
    """The sizes of a student."""

    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(channels=(32, 64, 128, 128), inputs=43)
    )
    """The UNet. It takes a channel for each voxel of a block, one for the body and
    6 * `sincos` for the position; its strides count blocks."""
    sincos: int = 4
    """Frequencies of the positional encoding along each axis; 0 leaves it out."""

    def inputs(self, pool: Shape) -> int:
        """Channels that the network has to take.

        Arguments:
            pool: Voxels of a block along (D, H, W).
        """
        return math.prod(pool) + 1 + 6 * self.sincos

    def stride(self, pool: Shape) -> Shape:
        """Voxels that the sides of a tile are multiples of.

        Arguments:
            pool: Voxels of a block along (D, H, W).
        """
        depth, height, width = (a * b for a, b in zip(pool, self.network.stride, strict=True))
        return depth, height, width


class Student(nn.Module):
    """A UNet from blocks of voxels to scores.

    Arguments:
        settings: The sizes.
        pool: Voxels of a block along (D, H, W).
    """

    middle: Tensor
    spread: Tensor

    def __init__(self, settings: StudentSettings, pool: Shape) -> None:
        super().__init__()
        expected = settings.inputs(pool)
        if settings.network.inputs != expected:
            raise ValueError(
                f"A student sees the voxels of a block, the body and the position: expected "
                f"inputs={expected}, found {settings.network.inputs}."
            )
        self.settings, self.pool = settings, pool
        self.network = UNet(settings.network)
        self.head = nn.Conv3d(settings.network.out, 1, 1)
        # Of the teacher's scores in nats: the median, and half the width of the middle 68%.
        self.register_buffer("middle", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Anomaly scores less their middle, in units of their spread.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.
            positions: Share of the body's box, `(B, 3, d, h, w)`, d = D / pool and so on.
            where: Body voxels of that grid, bool, `(B, d, h, w)`.

        Returns:
            float32, `(B, d, h, w)`; meaningless outside of the body.
        """
        parts = [blocks(x, self.pool), where[:, None].to(x.dtype)]
        if self.settings.sincos:
            parts.append(sincos(positions, self.settings.sincos))
        seen = torch.cat(parts, dim=1)
        seen = seen.contiguous(memory_format=torch.channels_last_3d)
        features = self.network.pooled(seen, (1, 1, 1))
        # In bfloat16 scores would come in steps that can be seen in the map.
        with torch.autocast(x.device.type, enabled=False):
            return self.head(F.silu(features))[:, 0]

    def nll(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Anomaly scores, see `forward`.

        Returns:
            nll in nats, float32, `(B, d, h, w)`, NaN where not scored.
        """
        z = self(x, positions, where).nan_to_num(nan=MOST_SPREADS)
        nll = self.middle + self.spread * z.clamp(-MOST_SPREADS, MOST_SPREADS)
        return nll.masked_fill(~where, math.nan)


def blocks(x: Tensor, pool: Shape) -> Tensor:
    """The voxels of each block as channels of one voxel.

    Arguments:
        x: An image, `(B, 1, D, H, W)`.
        pool: Voxels of a block; divides the shape of the image.

    Returns:
        `(B, pool voxels, D / pool, H / pool, W / pool)`.

    Example:
        >>> blocks(torch.arange(8.0).reshape(1, 1, 2, 2, 2), (1, 2, 2)).flatten(2)[0, :, 1]
        tensor([4., 5., 6., 7.])
    """
    batch, _, *sides = x.shape
    d, h, w = (side // unit for side, unit in zip(sides, pool, strict=True))
    split = x.reshape(batch, d, pool[0], h, pool[1], w, pool[2])
    return split.permute(0, 2, 4, 6, 1, 3, 5).reshape(batch, -1, d, h, w)
