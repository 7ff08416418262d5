"""A density of the encoder's features that knows where it is: p(features | condition).

As in the paper (Goncharov et al., arXiv 2502.08321, section 3.2) the condition says what to expect
at a voxel: its place in the body, and what surrounds it. What is rare given these is an anomaly
even where it would be common elsewhere, such as fat in a lung.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ctscreener.conditions import shell_mean, sincos
from ctscreener.flow import Flow, FlowSettings
from ctscreener.heads import (
    Gaussian,
    GaussianSettings,
    Maps,
    Source,
    averaged,
    doubled,
    halved,
)
from ctscreener.invariant import Invariant

ROWS = 8192
"""Voxels that a flow is built for at a time: bounds the memory."""
MOST_NATS = 1e6
"""Scores end here: an absurd voxel stays finite, the rarest, and spoils no interpolation."""


class Conditional(nn.Module):
    """-log p(z | c) of the principal components z of the features.

    Condition c are sines and cosines of the place in the body's box, the means of z over shells,
    and what a masking-invariant network expects. A Gaussian has a mean that is linear in c, and a
    full covariance: the conditional of the joint Gaussian of z and c. A flow has couplings and
    act-norms that read c.

    Arguments:
        settings: The sizes.
        channels: Channels of each map that it sees.
    """

    def __init__(self, settings: GaussianSettings, channels: Mapping[Source, int]) -> None:
        super().__init__()
        self.settings = settings
        total = sum(channels[source] for source in settings.sources)
        kept, given = settings.components, condition_width(settings)
        self.mean = nn.Buffer(torch.zeros(total))
        self.whiten = nn.Buffer(torch.zeros(kept, total))
        self.log_det = nn.Buffer(torch.zeros(1))
        self.c_mean = nn.Buffer(torch.zeros(given))
        self.c_std = nn.Buffer(torch.ones(given))
        self.invariant = None
        if settings.invariant:
            sizes = (kept, settings.invariant_hidden, settings.reach, settings.invariant)
            self.invariant = Invariant(*sizes)
        self.flow = None
        if settings.head == "flow":
            sizes = FlowSettings(settings.blocks, settings.hidden)
            self.flow = Flow(kept, given, sizes, torch.Generator().manual_seed(0))
        else:
            self.linear = nn.Buffer(torch.zeros(kept, given))
            self.residual = nn.Buffer(torch.eye(kept))

    def forward(self, maps: Maps, size: Sequence[int], body: Tensor) -> Tensor:
        """Nll in nats on the finest grid.

        Arguments:
            maps: The maps of its sources.
            size: Voxels of the finest grid.
            body: Voxels of the body on that grid, bool, `(d, h, w)`.

        Returns:
            `(d, h, w)`, float32.
        """
        level = self.settings.sources[0].level
        with torch.autocast(self.mean.device.type, enabled=False):
            z = self.components(maps)
            c = self.condition(z, body)
            nll = self.nll(z.movedim(0, -1).flatten(0, -2), c.movedim(0, -1).flatten(0, -2))
            nll = nll.nan_to_num(nan=MOST_NATS).clamp_max(MOST_NATS).view(z.shape[1:])
            for finer in range(level - 1, -1, -1):
                nll = doubled(nll[None, None], halved(size, finer))[0, 0]
        return nll

    def components(self, maps: Maps) -> Tensor:
        """Principal components, of mean 0 and deviation 1 over the reference, `(K, d, h, w)`."""
        y = torch.cat([averaged(maps[s], s.cube) for s in self.settings.sources], 1).float()
        return torch.einsum("kc,cdhw->kdhw", self.whiten, y[0] - self.mean[:, None, None, None])

    def condition(self, z: Tensor, body: Tensor) -> Tensor:
        """What is known of each voxel, `(k, d, h, w)`; `z` as from `components`."""
        unit = 1 << self.settings.sources[0].level
        where = body[::unit, ::unit, ::unit]
        places = shares(body, unit, where.shape)
        parts = [sincos(places[None], self.settings.sincos)[0]] if self.settings.sincos else []
        everywhere = torch.ones_like(where)
        parts += [shell_mean(z[None], everywhere[None], s)[0] for s in self.settings.surround]
        parts += [self.invariant(z[None])[0]] if self.invariant else []
        return torch.cat(parts) if parts else z[:0]

    def nll(self, z: Tensor, c: Tensor) -> Tensor:
        """-log p of rows of components `(P, K)` given conditions `(P, k)`, in nats, `(P,)`."""
        parts = zip(z.split(ROWS), c.split(ROWS), strict=True)
        return torch.cat([self.row_nll(*part) for part in parts]) + self.log_det

    def row_nll(self, z: Tensor, c: Tensor) -> Tensor:
        """The same but for the constant of the projection."""
        c = (c - self.c_mean) / self.c_std
        if self.flow is not None:
            return self.flow.nll(z, c)
        white = (z - c @ self.linear.T) @ self.residual.T
        log_scale = torch.linalg.slogdet(self.residual).logabsdet
        return 0.5 * (white.square().sum(1) + z.shape[1] * np.log(2 * np.pi)) - log_scale


def condition_width(settings: GaussianSettings) -> int:
    """Channels of the condition."""
    shells = settings.components * len(settings.surround)
    return 6 * settings.sincos + shells + settings.invariant


def shares(body: Tensor, unit: int, size: Sequence[int]) -> Tensor:
    """Where voxels of a map lie in the box of the body.

    Arguments:
        body: Voxels of the body on the finest grid, bool, `(D, H, W)`.
        unit: Voxels of that grid for one of the map; k lies at `k * unit`.
        size: Voxels of the map.

    Returns:
        Shares along the axes, 0 to 1, `(3, *size)`; voxels beyond the box have those of its faces.

    Example:
        >>> shares(torch.tensor([False, True, True, True])[None, None], 1, (1, 1, 4))[2].tolist()
        [[[0.0, 0.0, 0.5, 1.0]]]
    """
    axes = []
    for axis, count in enumerate(size):
        others = tuple(other for other in range(3) if other != axis)
        inside = body.any(others[1]).any(others[0]).nonzero()
        low, high = (int(inside.min()), int(inside.max())) if len(inside) else (0, 0)
        at = unit * torch.arange(count, device=body.device)
        axes.append(((at - low) / max(1, high - low)).clamp(0, 1))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


AnyDensity = Gaussian | Conditional


def is_conditional(settings: GaussianSettings) -> bool:
    """Whether settings ask for more than one Gaussian for all voxels."""
    return settings.head == "flow" or condition_width(settings) > 0


def new_density(settings: GaussianSettings, channels: Mapping[Source, int]) -> AnyDensity:
    """The density that the settings ask for, without its numbers."""
    made = Conditional if is_conditional(settings) else Gaussian
    return made(settings, channels)
