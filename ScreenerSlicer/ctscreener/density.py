"""The density model: -log p(descriptor | condition) of every voxel on the pooled grid.

Descriptors y and conditions c are standardized with statistics that are stored with the model:
self-supervised objectives leave their scale open, and the noise of training needs one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ctscreener.flow import Flow, FlowSettings, zero

MOST_NATS = 1e6
"""Scores end here: an absurd voxel stays finite, the rarest, and spoils no interpolation."""
ROWS = 8192
"""Voxels that a full covariance is built for at a time."""
LOG_VARIANCE_LIMIT = 7.0
"""A conditional Gaussian's log-variances are bent smoothly into this range."""


@dataclass(frozen=True)
class DensitySettings:
    """Which density model, and its sizes."""

    head: Literal["gaussian", "flow"] = "flow"
    """A Gaussian, or a normalizing flow."""
    covariance: Literal["diagonal", "full"] = "diagonal"
    """Covariance of a Gaussian: the paper's, or one whose channels depend on each other."""
    flow: FlowSettings = FlowSettings()
    """Sizes of the flow."""
    hidden: int = 128
    """Width of the network of a conditional Gaussian."""


class MarginalGaussian(nn.Module):
    """N(mu, diag(sigma^2)) (paper, equation 3), after standardization.

    Arguments:
        channels: d.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels))
        self.log_variance = nn.Parameter(torch.zeros(channels))

    def nll(self, y: Tensor, c: Tensor, where: Tensor) -> Tensor:
        """-log p(y) at the voxels of `where`, `(P,)`; see `Density.rows`."""
        return gaussian_nll(rows(y, where), self.mean, self.log_variance)


class ConditionalGaussian(nn.Module):
    """N(mu(c), diag(sigma(c)^2)) with 3x3x3 convolutions on c (paper, equation 4, appendix C).

    Arguments:
        channels: d.
        condition: k, above 0.
        hidden: Width.
    """

    def __init__(self, channels: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv3d(condition, hidden, 3, padding=1),
            nn.SiLU(),
            nn.Conv3d(hidden, hidden, 1),
            nn.SiLU(),
            nn.Conv3d(hidden, 2 * channels, 1),
        )
        zero(self.network[-1])

    def nll(self, y: Tensor, c: Tensor, where: Tensor) -> Tensor:
        """-log p(y | c) at the voxels of `where`, `(P,)`; see `Density.rows`."""
        mean, a = rows(self.network(c).float(), where).chunk(2, dim=-1)
        log_variance = LOG_VARIANCE_LIMIT * torch.tanh(a / LOG_VARIANCE_LIMIT)
        return gaussian_nll(rows(y, where), mean, log_variance)


class FullGaussian(nn.Module):
    """N(mu(c), (L(c)^T L(c))^-1) at single voxels, L lower triangular: beyond the paper.

    Where little data and time are at hand, it is as sharp as a flow and trained in minutes.

    Arguments:
        channels: d.
        condition: k, 0 for the marginal density.
        hidden: Width of the network.
    """

    def __init__(self, channels: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.channels = channels
        outputs = 2 * channels + channels * (channels - 1) // 2
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.network = full_network(condition, hidden, outputs) if condition else None

    def nll(self, y: Tensor, c: Tensor, where: Tensor) -> Tensor:
        """-log p(y | c) at the voxels of `where`, `(P,)`; see `Density.rows`."""
        parts = zip(rows(y, where).split(ROWS), rows(c, where).split(ROWS), strict=True)
        return torch.cat([self.row_nll(*part) for part in parts])

    def row_nll(self, y: Tensor, c: Tensor) -> Tensor:
        """-log p(y | c) of rows `(P, d)` and `(P, k)`, `(P,)`."""
        out = self.bias.expand(len(y), -1)
        if self.network:
            out = out + self.network(c).float()
        d = self.channels
        mean, a, *below = out.split([d, d, *range(d - 1, 0, -1)], dim=-1)
        log_diagonal = LOG_VARIANCE_LIMIT / 2 * torch.tanh(2 * a / LOG_VARIANCE_LIMIT)
        residual = y - mean
        # z = L (y - mean), one diagonal of L after the other: three times faster than by matrix.
        z = log_diagonal.exp() * residual
        for offset, entries in enumerate(below, start=1):
            z = z + F.pad(entries * residual[:, :-offset], (offset, 0))
        constant = 0.5 * d * math.log(2 * math.pi)
        return 0.5 * z.square().sum(-1) - log_diagonal.sum(-1) + constant


def full_network(condition: int, hidden: int, outputs: int) -> nn.Sequential:
    """From conditions to what is added to the bias of a `FullGaussian`: zero at first."""
    network = nn.Sequential(
        nn.Linear(condition, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, outputs, bias=False),
    )
    nn.init.zeros_(network[-1].weight)  # pyright: ignore[reportArgumentType]
    return network


class VoxelFlow(nn.Module):
    """A normalizing flow applied to single voxels (paper, equations 5 and 6).

    Arguments:
        channels: d.
        condition: k, 0 for the marginal density.
        settings: The sizes.
        generator: Draws the fixed rotations.
    """

    def __init__(
        self, channels: int, condition: int, settings: FlowSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.flow = Flow(channels, condition, settings, generator)

    def nll(self, y: Tensor, c: Tensor, where: Tensor) -> Tensor:
        """-log p(y | c) at the voxels of `where`, `(P,)`; see `Density.rows`."""
        return self.flow.nll(rows(y, where), rows(c, where))


class Density(nn.Module):
    """-log p(descriptor | condition), with the standardization of both.

    Arguments:
        channels: d, channels of a descriptor.
        condition: k, channels of a condition; 0 for a marginal density.
        settings: Which head.
        generator: Draws what is fixed at random.
    """

    y_mean: Tensor
    y_std: Tensor
    c_mean: Tensor
    c_std: Tensor

    def __init__(
        self, channels: int, condition: int, settings: DensitySettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        for name, width in (("y", channels), ("c", condition)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_std", torch.ones(width))
        self.head = new_head(channels, condition, settings, generator)

    def forward(self, y: Tensor, c: Tensor, where: Tensor) -> Tensor:
        """Anomaly scores.

        Arguments:
            y: Pooled descriptors, `(B, d, D, H, W)`.
            c: Pooled conditions, `(B, k, D, H, W)`.
            where: Which voxels to score, bool, `(B, D, H, W)`.

        Returns:
            nll in nats, float32, `(B, D, H, W)`; NaN where not scored.
        """
        nll = torch.full(where.shape, math.nan, device=y.device)
        rows = self.rows(self.standardize_y(y), self.standardize_c(c), where)
        nll[where] = rows.nan_to_num(nan=MOST_NATS).clamp_max(MOST_NATS)
        return nll

    def rows(self, y: Tensor, c: Tensor, where: Tensor) -> Tensor:
        """Nll of the voxels of `where` for standardized y and c, `(P,)`; see `rows`."""
        return self.head.nll(y, c, where)

    def standardize_y(self, y: Tensor) -> Tensor:
        """Descriptors `(B, d, D, H, W)` with mean 0 and deviation 1 over reference voxels."""
        return (y - channelwise(self.y_mean)) / channelwise(self.y_std)

    def standardize_c(self, c: Tensor) -> Tensor:
        """Conditions `(B, k, D, H, W)` with mean 0 and deviation 1 over reference voxels."""
        return (c - channelwise(self.c_mean)) / channelwise(self.c_std)


def new_head(
    channels: int, condition: int, settings: DensitySettings, generator: torch.Generator
) -> MarginalGaussian | ConditionalGaussian | FullGaussian | VoxelFlow:
    """The head that the settings ask for."""
    if settings.head == "flow":
        return VoxelFlow(channels, condition, settings.flow, generator)
    if settings.covariance == "full":
        return FullGaussian(channels, condition, settings.hidden)
    if condition:
        return ConditionalGaussian(channels, condition, settings.hidden)
    return MarginalGaussian(channels)


def gaussian_nll(y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """-log N(y; mean, diag(exp(log_variance))) of each row in nats, `(P,)`."""
    z2 = (y - mean).square() * (-log_variance).exp()
    return 0.5 * (z2 + log_variance + math.log(2 * math.pi)).sum(-1)


def rows(maps: Tensor, where: Tensor) -> Tensor:
    """The channels of some voxels, `(P, C)`.

    Arguments:
        maps: `(B, C, D, H, W)`.
        where: Which voxels, bool, `(B, D, H, W)`; or their numbers in that order, int64, `(P,)`,
            for which a card need not be waited for.
    """
    last = maps.movedim(1, -1)
    return last[where] if where.dtype == torch.bool else last.flatten(0, -2)[where]


def channelwise(values: Tensor) -> Tensor:
    """`(C,)` as `(C, 1, 1, 1)`, to meet maps."""
    return values[:, None, None, None]
