"""The student: one small network that predicts a whole model's scores from its descriptors.

It learnt them from a model of three networks, its teacher (Goncharov et al., arXiv 2502.08321, the
later version, where a UNet learns them from the image alone). Here it starts from the teacher's own
descriptors, so that of the three networks the condition and the density are saved: with minutes of
training, what has to be found anew in the image is not found (training/LOG.md). It works on the
pooled grid, and sees what the teacher's density sees, but for what a network says of the condition:
descriptors, their means in shells, and positions; and which voxels are body.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.conditions import Shell, shell_mean, sincos
from ctscreener.density import channelwise
from ctscreener.networks import NetworkSettings, UNet
from ctscreener.scan import Shape

MOST_SPREADS = 1e4
"""Scores end so far from their middle: an absurd voxel stays finite, and one of the rarest."""


@dataclass(frozen=True)
class StudentSettings:
    """The sizes of a student."""

    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(channels=(32, 64, 128), inputs=121)
    )
    """The UNet of the pooled grid. Of descriptors of d channels it takes d * (1 + shells), one
    channel for the body, and 6 * `sincos` for the position."""
    sincos: int = 4
    """Frequencies of the positional encoding along each axis; 0 leaves it out."""
    surround: tuple[Shell, ...] = ((3, 7), (6, 14))
    """Shells whose mean descriptors are seen beside those of a voxel."""

    def inputs(self, described: int) -> int:
        """Channels that the network has to take.

        Arguments:
            described: Channels of a descriptor.
        """
        return described * (1 + len(self.surround)) + 1 + 6 * self.sincos

    def stride(self, pool: Shape) -> Shape:
        """Voxels that the sides of a tile are multiples of.

        Arguments:
            pool: Voxels of a block along (D, H, W).
        """
        depth, height, width = (a * b for a, b in zip(pool, self.network.stride, strict=True))
        return depth, height, width


class Student(nn.Module):
    """A UNet from descriptors to scores.

    Arguments:
        settings: The sizes.
        described: Channels of a descriptor.
    """

    y_mean: Tensor
    y_std: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, settings: StudentSettings, described: int) -> None:
        super().__init__()
        expected = settings.inputs(described)
        if settings.network.inputs != expected:
            raise ValueError(
                f"A student sees descriptors, the body and the position: expected "
                f"inputs={expected}, found {settings.network.inputs}."
            )
        self.settings = settings
        self.network = UNet(settings.network)
        # A score grows with the square of a distance: the head has both at hand.
        self.head = nn.Conv3d(2 * settings.network.out, 1, 1)
        # Of the teacher: how it standardizes descriptors, and of its scores in nats the median and
        # half the width of the middle 68%.
        self.register_buffer("y_mean", torch.zeros(described))
        self.register_buffer("y_std", torch.ones(described))
        self.register_buffer("middle", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, y: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Anomaly scores less their middle, in units of their spread.

        Arguments:
            y: Pooled descriptors, `(B, d, D, H, W)`.
            positions: Share of the body's box, `(B, 3, D, H, W)`.
            where: Body voxels of that grid, bool, `(B, D, H, W)`.

        Returns:
            float32, `(B, D, H, W)`; meaningless outside of the body.
        """
        settings = self.settings
        y = (y - channelwise(self.y_mean)) / channelwise(self.y_std)
        parts = [y, *(shell_mean(y, where, shell) for shell in settings.surround)]
        parts.append(where[:, None].to(y.dtype))
        if settings.sincos:
            parts.append(sincos(positions, settings.sincos))
        seen = torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last_3d)
        features = self.network.pooled(seen, (1, 1, 1))
        # In bfloat16 scores would come in steps that can be seen in the map.
        with torch.autocast(y.device.type, enabled=False):
            return self.head(torch.cat([F.silu(features), features.square()], dim=1))[:, 0]

    def nll(self, y: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Anomaly scores, see `forward`.

        Returns:
            nll in nats, float32, `(B, D, H, W)`, NaN where not scored.
        """
        z = self(y, positions, where).nan_to_num(nan=MOST_SPREADS)
        nll = self.middle + self.spread * z.clamp(-MOST_SPREADS, MOST_SPREADS)
        return nll.masked_fill(~where, math.nan)
