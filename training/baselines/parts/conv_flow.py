"""Normalizing flows over maps, in 2D or 3D: the coupling networks see a neighbourhood.

Act-norm, a fixed rotation of the channels, and affine couplings as in `ctscreener.flow`, with
convolutions in place of linear layers. Every position has its own log-determinant.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ctscreener.flow import Rotation, soft_clamp, zero

CONVOLUTIONS: dict[int, type[Any]] = {2: nn.Conv2d, 3: nn.Conv3d}
"""By the number of axes of a map."""


def coupling_network(axes: int, inputs: int, hidden: int, outputs: int, kernel: int) -> nn.Module:
    """Two convolutions, the last one zero: a coupling then begins as the identity.

    Arguments:
        axes: Of the maps, 2 or 3.
        inputs: Channels in.
        hidden: Channels between.
        outputs: Channels out.
        kernel: Sides of the convolutions, odd.
    """
    conv = CONVOLUTIONS[axes]
    network = nn.Sequential(
        conv(inputs, hidden, kernel, padding=kernel // 2),
        nn.GroupNorm(1, hidden),
        nn.ReLU(),
        conv(hidden, outputs, kernel, padding=kernel // 2),
    )
    zero(network[-1])
    return network


class MapCoupling(nn.Module):
    """Scales and shifts one half of the channels by what is read around it off the other half.

    Arguments:
        axes: Of the maps, 2 or 3.
        channels: Of the maps.
        condition: Channels of the condition.
        hidden: Channels between.
        kernel: Sides of the convolutions.
    """

    def __init__(self, axes: int, channels: int, condition: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.kept = channels // 2
        self.network = coupling_network(
            axes, self.kept + condition, hidden, 2 * (channels - self.kept), kernel
        )

    def forward(self, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The coupled map `(B, C, ...)` and its log-determinants `(B, ...)`."""
        u, v = y[:, : self.kept], y[:, self.kept :]
        a, t = self.network(torch.cat([u, c], dim=1)).float().chunk(2, dim=1)
        log_scale = soft_clamp(a)
        return torch.cat([u, v * log_scale.exp() + t], dim=1), log_scale.sum(1)


class MapNorm(nn.Module):
    """A scale and a shift for each channel.

    Arguments:
        channels: Of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The scaled map and the log-determinant, a scalar."""
        shift, scale = (
            weight.reshape(-1, *(1,) * (y.ndim - 2))
            for weight in (self.shift, self.log_scale.exp())
        )
        return (y + shift) * scale, self.log_scale.sum()


class ConvFlow(nn.Module):
    """A map to one of independent standard Gaussians, and back into a density.

    Arguments:
        axes: Of the maps, 2 or 3.
        channels: Of the maps.
        condition: Channels of the condition, 0 for none.
        blocks: Blocks of norm, rotation and coupling.
        hidden: Channels within a coupling.
        generator: Draws the rotations; weights loaded later replace them.
        kernel: Sides of the convolutions.
    """

    def __init__(
        self,
        axes: int,
        channels: int,
        condition: int,
        blocks: int,
        hidden: int,
        generator: torch.Generator,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(MapNorm(channels) for _ in range(blocks))
        self.rotations = nn.ModuleList(Rotation(channels, generator) for _ in range(blocks))
        self.couplings = nn.ModuleList(
            MapCoupling(axes, channels, condition, hidden, kernel) for _ in range(blocks)
        )

    def forward(self, y: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map to the Gaussian space.

        Arguments:
            y: Standardized features, `(B, C, ...)`.
            c: Conditions, `(B, k, ...)`; none by default.

        Returns:
            z, as `y`, and the log-determinant of each position, `(B, ...)`, float32.
        """
        z, c = y.float(), y[:, :0] if c is None else c
        log_det = torch.zeros_like(z[:, 0])
        for norm, rotation, coupling in zip(
            self.norms, self.rotations, self.couplings, strict=True
        ):
            z, scaled = norm(z)
            with torch.autocast(z.device.type, enabled=False):
                z = rotation(z.movedim(1, -1)).movedim(-1, 1)
            z, coupled = coupling(z, c)
            log_det = log_det + scaled + coupled
        return z, log_det
