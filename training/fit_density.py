"""Fitting a density that knows the place in the body and what surrounds a voxel."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ctscreener.conditional import Conditional, condition_width
from ctscreener.conditions import sincos
from ctscreener.errors import InputError
from ctscreener.flow import Flow
from ctscreener.heads import GaussianSettings, Source
from ctscreener.invariant import Invariant
from ctscreener.settings import to_json
from ctscreener.whole_file import whole_file
from training.data.masked_views import Views
from training.data.placed_rows import Placed
from training.fit_heads import principal
from training.fit_invariant import FitInvariantSettings, Projected, fit_invariant, leak_of

RIDGE = 1e-3
"""Added to variances of conditions and of what they leave over, which are about 1 without it."""


@dataclass(frozen=True)
class FitDensitySettings:
    """How a density with conditions, or a flow, is fitted; other Gaussians need nothing of this."""

    voxels: int = 3000
    """Body voxels of each scan."""
    epochs: int = 8
    """How often a flow sees all of them."""
    batch: int = 2048
    """Rows a step of a flow."""
    rate: float = 1e-3
    """Highest learning rate of a flow; it rises for a while, and falls to 0."""
    noise: float = 0.1
    """Deviation of the noise that is added to standardized components and conditions of a flow."""
    invariant: FitInvariantSettings = field(default_factory=FitInvariantSettings)
    """How a masking-invariant condition is trained, where the density has one."""

    def __post_init__(self) -> None:
        """Raise where nothing would be learnt."""
        counted = min(self.voxels, self.epochs, self.batch) >= 1
        if not counted or not 0 < self.rate < float("inf") or not 0 <= self.noise < float("inf"):
            raise InputError(
                "discriminator.fit_density",
                "Expected counts of 1 or more, a rate above 0 and a noise of 0 or more, found "
                f"{self}.",
                "Give other values to the flags --fit-density.",
            )


def fit_conditional(
    rows: Sequence[Placed],
    settings: GaussianSettings,
    channels: Mapping[Source, int],
    fit: FitDensitySettings,
    seed: int,
) -> Conditional:
    """Fit a density to the features of some scans: a Gaussian in closed form, a flow by steps.

    Arguments:
        rows: Voxels of each scan.
        settings: Sizes and conditions.
        channels: Channels of each map.
        fit: How.
        seed: Decides what a flow begins with, order and noise.
    """
    made = Conditional(settings, channels)
    features = torch.cat([some.features for some in rows])
    mean, whiten, log_det = principal(features, settings.components)
    made.mean.copy_(mean)
    made.whiten[: len(whiten)].copy_(whiten)
    made.log_det.fill_(log_det)
    if made.invariant is not None:
        scans = [projected(made, some.views.load()) for some in rows if some.views]
        fitted = fit_invariant(scans, settings, fit.invariant, seed)
        made.invariant.load_state_dict(fitted.state_dict())
        leak = leak_of(fitted, scans)
        print(
            f"density: the condition changes by {leak['hidden']:.2f} where a block is hidden, by "
            f"{leak['visible']:.2f} elsewhere",
            flush=True,
        )
    z, c = components(made, features), conditions(made, rows)
    if c.shape[1]:
        made.c_mean.copy_(c.mean(0))
        made.c_std.copy_(c.std(0) + RIDGE)
    c = (c - made.c_mean) / made.c_std
    if made.flow is None:
        made.linear.copy_(regression(z, c))
        left = z - c @ made.linear.T
        covariance = torch.cov(left.double().T) + RIDGE * torch.eye(len(left.T))
        made.residual.copy_(torch.linalg.inv(torch.linalg.cholesky(covariance)))
    else:
        train_flow(made.flow, z, c, fit, seed)
    return made.eval().requires_grad_(False)


def kept_conditional(
    folder: Path,
    rows: Sequence[Placed],
    settings: GaussianSettings,
    channels: Mapping[Source, int],
    fit: FitDensitySettings,
    seed: int,
) -> Conditional:
    """A density from a file, or fitted and kept there; see `fit_conditional`."""
    told = json.dumps(to_json([settings, fit, seed, [some.key for some in rows]]))
    path = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        made = fit_conditional(rows, settings, channels, fit, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as beside:
            save_file({name: t.contiguous() for name, t in made.state_dict().items()}, beside)
    kept = Conditional(settings, channels)
    kept.load_state_dict(load_file(path))
    return kept.eval().requires_grad_(False)


def components(density: Conditional, features: Tensor) -> Tensor:
    """Principal components of rows of features, `(n, K)`."""
    return (features.float() - density.mean) @ density.whiten.T


def conditions(density: Conditional, rows: Sequence[Placed]) -> Tensor:
    """Conditions of rows, as `Conditional.condition` has them, `(n, k)`."""
    settings = density.settings
    parts = []
    if settings.sincos:
        parts.append(sincos(torch.cat([some.places for some in rows]), settings.sincos))
    for number in range(len(settings.surround)):
        parts.append(components(density, torch.cat([some.shells[:, number] for some in rows])))
    if density.invariant is not None:
        parts.append(torch.cat([expected(density, density.invariant, some) for some in rows]))
    count = sum(len(some.features) for some in rows)
    found = torch.cat(parts, 1) if parts else torch.zeros(count, 0)
    assert found.shape[1] == condition_width(settings), "as the head will have them"
    return found


def projected(density: Conditional, views: Views) -> Projected:
    """Principal components of the views of a scan, in half precision."""
    z = [components(density, y.flatten(1).T).T.reshape(-1, *y.shape[1:]) for y in views.maps]
    return Projected(torch.stack(z).half(), views.seen, views.body)


def expected(density: Conditional, invariant: Invariant, row: Placed) -> Tensor:
    """What the masking-invariant condition says at the voxels of a scan, `(n, out)`."""
    assert row.views is not None, "drawn where the density has such a condition"
    plain = projected(density, row.views.load()).z[:1].float()
    with torch.no_grad():
        return invariant(plain)[0].flatten(1)[:, row.voxels].T


def regression(z: Tensor, c: Tensor) -> Tensor:
    """Least squares of `z`, `(n, K)`, on standardized `c`, `(n, k)`, with a ridge, `(K, k)`."""
    z, c = z.double(), c.double()
    gram = c.T @ c / len(c) + RIDGE * torch.eye(c.shape[1])
    return torch.linalg.solve(gram, c.T @ z / len(c)).T.float()


def train_flow(flow: Flow, z: Tensor, c: Tensor, settings: FitDensitySettings, seed: int) -> None:
    """Train a flow by the likelihood of noisy rows (paper, appendix D).

    Arguments:
        flow: Changed in place.
        z: Standardized components, `(n, K)`.
        c: Standardized conditions, `(n, k)`.
        settings: How.
        seed: Decides first weights, order and noise.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for coupling in flow.couplings:
            for layer in list(coupling.network)[:-1]:  # pyright: ignore[reportArgumentType]
                if isinstance(layer, torch.nn.Linear):
                    layer.reset_parameters()
        size = min(settings.batch, len(z))
        first = torch.randperm(len(z))[:size]
        flow.initialize(z[first], c[first])
        optimiser = torch.optim.AdamW(flow.parameters(), settings.rate, weight_decay=1e-6)
        steps = len(z) // size
        # A share of which no whole number of steps is 1: torch divides by the length of the rise.
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.rate, total_steps=steps * settings.epochs, pct_start=0.15
        )
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(z))[: steps * size].split(size):
                y, given = (
                    part + settings.noise * torch.randn_like(part) for part in (z[rows], c[rows])
                )
                loss = flow.nll(y, given).mean()
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
                optimiser.step()
                schedule.step()
