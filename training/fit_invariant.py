"""Training a condition of the encoder's maps that hidden blocks do not change.

Two views of a scan, with other blocks hidden, are shown in two windows that overlap; a voxel's
condition in the one is to tell its condition in the other from those of all other voxels (paper,
section 3.2, with the loss of SimCLR). Windows differ, so that a voxel is not known by how far the
border is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings
from ctscreener.invariant import Invariant
from ctscreener.scan import Shape
from training.data.masked_views import ViewSettings
from training.losses import Projector, info_nce

HIDDEN, VISIBLE = 0.05, 0.95
"""Shares of a voxel's surroundings that are seen, for one that is hidden and one that is not."""


@dataclass(frozen=True)
class FitInvariantSettings:
    """How a masking-invariant condition is trained."""

    views: ViewSettings = field(default_factory=ViewSettings)
    """What is hidden."""
    steps: int = 400
    """How often weights change."""
    pairs: int = 4
    """Pairs of windows of a step."""
    window: Shape = (10, 14, 14)
    """Voxels of the map in a window."""
    shift: Shape = (3, 4, 4)
    """How far the two windows of a pair lie apart at most."""
    voxels: int = 256
    """Body voxels of each pair that are compared."""
    rate: float = 1e-3
    """Highest learning rate; it rises for a while, and falls to 0."""
    width: int = 256
    """Channels of the projector's hidden layers."""
    projected: int = 64
    """Channels of what is compared."""
    temperature: float = 0.1
    """What similarities are divided by."""

    def __post_init__(self) -> None:
        """Raise where nothing would be learnt."""
        counts = (self.steps, self.pairs, self.voxels, self.width, self.projected, *self.window)
        rates = (self.rate, self.temperature)
        if min(counts) < 1 or min(self.shift) < 0 or not all(0 < x < math.inf for x in rates):
            raise InputError(
                "discriminator.invariant",
                "Expected counts of 1 or more, a shift of 0 or more, and a rate and a temperature "
                f"above 0, found {self}.",
                "Give other values to the flags --fit-density.invariant.",
            )


@dataclass(frozen=True)
class Projected:
    """Principal components of the views of one scan; see `Views`.

    Arguments:
        z: Float16, `(V, K, d, h, w)`.
        seen: Float16, `(V, d, h, w)`.
        body: Bool, `(d, h, w)`.
    """

    z: Tensor
    seen: Tensor
    body: Tensor


def new_invariant(settings: GaussianSettings) -> Invariant:
    """The network that settings ask for, of random weights."""
    sizes = (settings.components, settings.invariant_hidden, settings.reach, settings.invariant)
    return Invariant(*sizes)


def fit_invariant(
    scans: Sequence[Projected], settings: GaussianSettings, fit: FitInvariantSettings, seed: int
) -> Invariant:
    """Train a condition.

    Arguments:
        scans: Views of each scan.
        settings: Sizes of the network.
        fit: How.
        seed: Decides first weights, windows and voxels.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = new_invariant(settings)
        projector = Projector(settings.invariant, fit.width, fit.projected)
        trained = [*network.parameters(), *projector.parameters()]
        optimiser = torch.optim.AdamW(trained, fit.rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, fit.rate, total_steps=fit.steps, pct_start=0.15
        )
        rng = np.random.default_rng(seed)
        for _ in range(fit.steps):
            drawn = [pair for _ in range(fit.pairs) for pair in draw_pair(scans, fit, rng)]
            if not drawn:
                continue
            rows = [
                torch.cat([conditions_at(network, pair[side]) for pair in drawn])
                for side in (0, 1)
            ]
            first, second = (projector(some) for some in rows)
            loss = info_nce(first, second, fit.temperature)["loss"]
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            schedule.step()
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class Window:
    """Part of a view, and the voxels of it that are compared.

    Arguments:
        z: `(K, d, h, w)`.
        seen: `(d, h, w)`.
        at: Numbers of the voxels, flat, `(n,)`.
    """

    z: Tensor
    seen: Tensor
    at: Tensor


def draw_pair(
    scans: Sequence[Projected], fit: FitInvariantSettings, rng: np.random.Generator
) -> Iterator[tuple[Window, Window]]:
    """Draw two windows of two views of a scan; none where the windows share no voxel of the body.

    Arguments:
        scans: Views of each scan.
        fit: Sizes of windows.
        rng: Draws scan, views, windows and voxels.
    """
    scan = scans[int(rng.integers(len(scans)))]
    views = rng.permutation(len(scan.z))[:2]
    shape = np.array(scan.body.shape)
    size = np.minimum(fit.window, shape)
    low = rng.integers(0, shape - size, endpoint=True)
    shift = rng.integers(-np.array(fit.shift), fit.shift, endpoint=True)
    lows = (low, np.clip(low + shift, 0, shape - size))
    start, stop = np.maximum(*lows), np.minimum(*lows) + size
    common = scan.body[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    inside = np.argwhere(common.numpy())
    inside = inside[rng.permutation(len(inside))[: fit.voxels]] + start
    if not len(inside):
        return
    windows = []
    for view, corner in zip(views, lows, strict=True):
        part = tuple(slice(a, a + n) for a, n in zip(corner, size, strict=True))
        at = torch.from_numpy(np.ravel_multi_index(tuple((inside - corner).T), tuple(size)))
        windows.append(Window(scan.z[view][(slice(None), *part)], scan.seen[view][part], at))
    yield windows[0], windows[1]


def conditions_at(network: Invariant, window: Window) -> Tensor:
    """Conditions at the voxels of a window, `(n, out)`."""
    found = network(window.z[None].float(), window.seen[None, None].float())[0]
    return found.flatten(1)[:, window.at].T


@torch.no_grad()
def leak_of(network: Invariant, scans: Sequence[Projected]) -> dict[str, float]:
    """Measure how much a condition changes where blocks are hidden, and where they are not.

    A change is the squared difference of the conditions with nothing and with blocks hidden, over
    twice the variance of the condition with nothing hidden, as in the stage `condition`.

    Arguments:
        network: The condition.
        scans: Views of each scan.

    Returns:
        The change at `hidden` and at `visible` voxels.
    """
    plain, masked, seen = [], [], []
    for scan in scans:
        views = [
            network(z[None].float(), share[None, None].float())[0][:, scan.body].T
            for z, share in zip(scan.z, scan.seen, strict=True)
        ]
        plain += [views[0]] * (len(views) - 1)
        masked += views[1:]
        seen += [share[scan.body] for share in scan.seen[1:]]
    first, second, share = torch.cat(plain), torch.cat(masked), torch.cat(seen)
    change = (first - second).square().mean(1) / (2 * first.var(0).mean())
    return {
        "hidden": change[share < HIDDEN].mean().item(),
        "visible": change[share > VISIBLE].mean().item(),
    }
