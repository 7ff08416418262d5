"""Conditions: what is known of a position without looking at what may be abnormal there.

`none` is a condition of zero channels, `sincos` encodes the position in the whole scan, `learned`
is a network that was made invariant to masked blocks (Goncharov et al., arXiv 2502.08321, 3.2).
They may be combined: their channels are concatenated.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ctscreener.networks import NetworkSettings, Shape, UNet


@dataclass(frozen=True)
class ConditionSettings:
    """Which conditions a model has."""

    sincos: int = 0
    """Frequencies of the positional encoding along each axis; 0 leaves it out."""
    learned: NetworkSettings | None = None
    """The masking-invariant network, which takes 2 channels; None leaves it out."""

    @property
    def channels(self) -> int:
        """Channels of the condition."""
        return 6 * self.sincos + (self.learned.out if self.learned else 0)


def sincos(positions: Tensor, frequencies: int) -> Tensor:
    """Sines and cosines of absolute positions with respect to the whole scan.

    Arguments:
        positions: Position as a share 0..1 of the body's box along (d, h, w), `(B, 3, ...)`.
        frequencies: The wavelengths are 2, 1, 1/2, ... of the box.

    Returns:
        `(B, 6 * frequencies, ...)`.

    Example:
        >>> sincos(torch.tensor([[0.0, 0.25, 1.0]]), 1).round(decimals=2)[0, 3:]
        tensor([ 1.0000,  0.7100, -1.0000])
    """
    waves = [2.0**k * math.pi * positions for k in range(frequencies)]
    return torch.cat([f(wave) for wave in waves for f in (torch.sin, torch.cos)], dim=1)


def tile_positions(start: Shape, size: Shape, shape: Shape, stride: Shape) -> Tensor:
    """Where the pooled voxels of one tile lie in the whole scan.

    Arguments:
        start: First voxel of the tile.
        size: Voxels of the tile.
        shape: Voxels of the whole scan, cropped to the body.
        stride: Voxels pooled into one.

    Returns:
        Shares 0..1 along (d, h, w), `(3, *(size / stride))`.
    """
    axes = [
        (first + unit * (torch.arange(length // unit) + 0.5)) / extent
        for first, length, extent, unit in zip(start, size, shape, stride, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


class Condition(nn.Module):
    """All conditions of a model, on the pooled grid.

    Arguments:
        settings: Which ones.
    """

    def __init__(self, settings: ConditionSettings) -> None:
        super().__init__()
        if settings.learned and settings.learned.inputs != 2:
            raise ValueError(
                "A condition network sees the image and its mask: expected inputs=2, "
                f"found {settings.learned.inputs}."
            )
        self.settings = settings
        self.learned = UNet(settings.learned) if settings.learned else None

    def pooled(self, x: Tensor, positions: Tensor, stride: Shape) -> Tensor:
        """Conditions of whole tiles, nothing masked.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.
            positions: Share of the body's box, `(B, 3, d, h, w)`, see `tile_positions`.
            stride: Voxels pooled into one.

        Returns:
            `(B, channels, d, h, w)`, float32; zero channels where there is no condition.
        """
        parts = [sincos(positions, self.settings.sincos)] if self.settings.sincos else []
        if self.learned:
            visible = torch.cat([x, torch.ones_like(x)], dim=1)
            parts.append(self.learned.pooled(visible, stride))
        return torch.cat(parts, dim=1) if parts else positions[:, :0]
