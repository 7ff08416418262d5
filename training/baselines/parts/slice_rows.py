"""Rows of features of slices: the batches of the rivals that are trained on frozen features."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.scan import Shape
from training.baselines.parts.slice_features import SliceFeatures, inside_of
from training.data.patches import Drawn, PatchSource

LOOKS = 4
"""Batches that mean and deviation are measured on."""


class Standard(nn.Module):
    """Brings channels to mean 0 and deviation 1.

    Arguments:
        channels: How many.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def forward(self, rows: Tensor) -> Tensor:
        """Standardize rows `(..., channels)`."""
        return (rows - self.mean) / self.deviation

    def fit(self, rows: Tensor) -> None:
        """Take mean and deviation of rows `(n, channels)`."""
        self.mean.copy_(rows.double().mean(dim=0))
        self.deviation.copy_(rows.double().std(dim=0).clamp(min=1e-6))


@dataclass(frozen=True)
class SliceRows:
    """Draws rows of features that lie in the body.

    Arguments:
        source: Draws the crops.
        describe: The frozen network.
        count: Rows of one step.
    """

    source: PatchSource
    describe: SliceFeatures
    count: int

    @property
    def size(self) -> Shape:
        """Voxels of a crop."""
        return self.source.settings.size

    def joined(self, drawn: Drawn, device: torch.device) -> Tensor:
        """Rows of all maps joined, `(count, C)`."""
        x, body = drawn.images(self.size, device), drawn.bodies(self.size, device)[:, 0]
        found = self.describe.to(device).joined(x)
        inside = inside_of(body, tuple(found.shape[1:4]))
        return found.flatten(0, 3)[drawn.chances(device).some_of(inside, self.count)]

    def levels(self, drawn: Drawn, device: torch.device) -> list[tuple[Tensor, Tensor]]:
        """Rows of each map, `(count, C)`, with the share of the body's box there, `(count, 3)`."""
        x, body = drawn.images(self.size, device), drawn.bodies(self.size, device)[:, 0]
        return self.levels_of(drawn, x, body)

    def levels_of(self, drawn: Drawn, x: Tensor, where: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The same of crops that were changed, from where they count.

        Arguments:
            drawn: Where the crops lie; a source of chance.
            x: The crops, `(m, 1, D, H, W)`.
            where: Which voxels count, bool, `(m, D, H, W)`; without any all rows are one of others.
        """
        positions, parts = drawn.positions(self.size, x.device), []
        for level in by_volume(self.describe.to(x.device).maps(x), len(x)):
            inside = inside_of(where, tuple(level.shape[1:4]))
            rows = torch.cat([level, places_of(positions, tuple(level.shape[1:4]))], dim=-1)
            # As many rows as asked for, again and again where there are fewer.
            numbers = drawn.chances(x.device).some_of(inside, self.count)
            chosen = rows.flatten(0, 3)[numbers]
            parts.append((chosen[:, :-3], chosen[:, -3:]))
        return parts


def by_volume(maps: list[Tensor], count: int) -> list[Tensor]:
    """Maps of slices `(B * D, C, H', W')` as volumes, `(B, D, H', W', C)`."""
    return [level.movedim(1, -1).unflatten(0, (count, -1)) for level in maps]


def places_of(positions: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Shares of the body's box at features, `(B, *shape, 3)`, from those at voxels."""
    found = F.adaptive_avg_pool3d(positions, shape)  # pyright: ignore[reportArgumentType]
    return found.movedim(1, -1)


def encode(places: Tensor, channels: int) -> Tensor:
    """Sines and cosines of the place within the slice.

    Arguments:
        places: Share of the body's box along (D, H, W), `(n, 3)`.
        channels: How many numbers, a multiple of 4.

    Returns:
        `(n, channels)`, wavelengths from twice the box down to a hundredth of it.
    """
    count = channels // 4
    steps = torch.arange(count, device=places.device) / max(1, count - 1)
    waves = math.pi * 100**steps
    angles = places[:, 1:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
