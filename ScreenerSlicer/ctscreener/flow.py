"""A Glow-like normalizing flow over the channels of single voxels, marginal or conditional.

Rows are voxels: `y` is `(P, d)`, `c` is `(P, k)` with `k` zero for a marginal flow, and every row
has its own log-determinant. Source: Goncharov et al., arXiv 2502.08321, appendix C, after
Kingma & Dhariwal, "Glow", 2018: act-norm, invertible linear map, affine coupling; the condition
enters the couplings and the act-norms.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SOFT_CLAMP = 1.9
"""Log-scales stay within +-1.9, so that no layer scales by more than a factor of 6.7."""


@dataclass(frozen=True)
class FlowSettings:
    """The sizes of a flow."""

    blocks: int = 16
    """Glow blocks."""
    hidden: int = 256
    """Width of the networks in the couplings."""


class ActNorm(nn.Module):
    """Per-channel scale and shift, plus those that a linear map reads off the condition.

    Arguments:
        channels: d.
        condition: k; with 0 this is the act-norm of Glow.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.given = nn.Linear(condition, 2 * channels) if condition else None
        if self.given:
            zero(self.given)

    def parameters_of(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Log-scale and shift for each row."""
        if self.given is None:
            return self.log_scale, self.shift
        a, t = self.given(c).float().chunk(2, dim=-1)
        return self.log_scale + soft_clamp(a), self.shift + t

    def forward(self, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scaled rows and their log-determinants."""
        log_scale, shift = self.parameters_of(c)
        return (y + shift) * log_scale.exp(), log_scale.sum(-1).expand(len(y))

    def inverse(self, z: Tensor, c: Tensor) -> Tensor:
        """Undo `forward`."""
        log_scale, shift = self.parameters_of(c)
        return z * (-log_scale).exp() - shift

    @torch.no_grad()
    def initialize(self, y: Tensor) -> None:
        """Make the rows of `y` come out with mean 0 and deviation 1."""
        self.shift.copy_(-y.mean(0))
        self.log_scale.copy_(-y.std(0).clamp_min(1e-6).log())


class Rotation(nn.Module):
    """A fixed random orthogonal map: it mixes all channels and keeps volumes.

    Arguments:
        channels: d.
        generator: Draws the map.
    """

    matrix: Tensor

    def __init__(self, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        # On the processor even where a model is built without memory: tracing this takes seconds.
        drawn = torch.randn(channels, channels, generator=generator, device="cpu")
        q, _ = torch.linalg.qr(drawn)
        self.register_buffer("matrix", q)

    def forward(self, y: Tensor) -> Tensor:
        """Return the rotated rows."""
        return y @ self.matrix

    def inverse(self, z: Tensor) -> Tensor:
        """Undo `forward`."""
        return z @ self.matrix.T


class Coupling(nn.Module):
    """Scales and shifts one half of the channels by what a network reads off the other half.

    Arguments:
        channels: d.
        condition: k.
        hidden: Width of the network.
    """

    def __init__(self, channels: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.kept = channels // 2
        self.network = nn.Sequential(
            nn.Linear(self.kept + condition, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2 * (channels - self.kept)),
        )
        # The identity at the start: a deep flow then begins as a Gaussian.
        zero(self.network[-1])

    def read(self, u: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Log-scale and shift of the other half."""
        a, t = self.network(torch.cat([u, c], dim=-1)).float().chunk(2, dim=-1)
        return soft_clamp(a), t

    def forward(self, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coupled rows and their log-determinants."""
        u, v = y[:, : self.kept], y[:, self.kept :]
        log_scale, t = self.read(u, c)
        return torch.cat([u, v * log_scale.exp() + t], dim=-1), log_scale.sum(-1)

    def inverse(self, z: Tensor, c: Tensor) -> Tensor:
        """Undo `forward`."""
        u, v = z[:, : self.kept], z[:, self.kept :]
        log_scale, t = self.read(u, c)
        return torch.cat([u, (v - t) * (-log_scale).exp()], dim=-1)


class Flow(nn.Module):
    """log p(y | c) as a standard Gaussian behind invertible layers.

    Arguments:
        channels: d, the channels of a descriptor.
        condition: k, the channels of a condition; 0 for a marginal flow.
        settings: The sizes.
        generator: Draws the fixed rotations; weights loaded later replace them.

    Example:
        >>> flow = Flow(4, 0, FlowSettings(blocks=2, hidden=8), torch.Generator().manual_seed(0))
        >>> y = torch.randn(5, 4)
        >>> z, log_det = flow(y, y[:, :0])
        >>> torch.allclose(flow.inverse(z, y[:, :0]), y, atol=1e-5)
        True
    """

    def __init__(
        self, channels: int, condition: int, settings: FlowSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        blocks = range(settings.blocks)
        self.norms = nn.ModuleList(ActNorm(channels, condition) for _ in blocks)
        self.rotations = nn.ModuleList(Rotation(channels, generator) for _ in blocks)
        self.couplings = nn.ModuleList(
            Coupling(channels, condition, settings.hidden) for _ in blocks
        )

    def forward(self, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map descriptors to the Gaussian space.

        Arguments:
            y: Standardized descriptors, `(P, d)`.
            c: Standardized conditions, `(P, k)`.

        Returns:
            z, `(P, d)`, and log|det dz/dy| of each row, `(P,)`, float32.
        """
        # Log-determinants of 64 blocks err by a nat in bfloat16: only the networks may use it.
        z, log_det = y.float(), torch.zeros(len(y), device=y.device)
        for norm, rotation, coupling in self.layers():
            z, scaled = norm(z, c)
            with torch.autocast(z.device.type, enabled=False):
                z = rotation(z)
            z, coupled = coupling(z, c)
            log_det = log_det + scaled + coupled
        return z, log_det

    def inverse(self, z: Tensor, c: Tensor) -> Tensor:
        """Undo `forward`: descriptors `(P, d)` from `z`."""
        for norm, rotation, coupling in reversed(list(self.layers())):
            z = norm.inverse(rotation.inverse(coupling.inverse(z, c)), c)
        return z

    def nll(self, y: Tensor, c: Tensor) -> Tensor:
        """-log p(y | c) of each row in nats, `(P,)` (paper, equations 5 and 6)."""
        z, log_det = self(y, c)
        return 0.5 * (z.square() + math.log(2 * math.pi)).sum(-1) - log_det

    @torch.no_grad()
    def initialize(self, y: Tensor, c: Tensor) -> None:
        """Initialize the act-norms on a batch, layer by layer in sequence."""
        for norm, rotation, coupling in self.layers():
            norm.initialize(y)
            y = rotation(norm(y, c)[0])
            y = coupling(y, c)[0]

    def layers(self) -> zip:
        """The triples of layers, first to last."""
        return zip(self.norms, self.rotations, self.couplings, strict=True)


def zero(layer: nn.Module) -> None:
    """Set all weights of a layer to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def soft_clamp(a: Tensor) -> Tensor:
    """Bend log-scales smoothly into +-SOFT_CLAMP; the identity around zero."""
    return SOFT_CLAMP * torch.tanh(a / SOFT_CLAMP)
