"""Sinkhorn's divergence: a distance of two sets of points that have no order.

Feydy et al., "Interpolating between Optimal Transport and MMD using Sinkhorn Divergences", AISTATS
2019: optimal transport with a little entropy, less what each set has of it to itself.
"""

import math

import torch
from torch import Tensor

HALVINGS = 12
"""Of the entropy on the way down to what is asked for."""
SWEEPS = 8
"""At the last entropy."""


def divergence(first: Tensor, second: Tensor, blur: float = 0.05) -> Tensor:
    """The divergence of sets of points, cost half the squared distance.

    Arguments:
        first: `(N, n, C)`.
        second: `(N, m, C)`.
        blur: Distance below which points are not told apart.

    Returns:
        0 or more, `(N,)`, float32.
    """
    with torch.autocast(first.device.type, enabled=False):
        a, b = first.float(), second.float()
        return transport(a, b, blur) - 0.5 * (transport(a, a, blur) + transport(b, b, blur))


def transport(first: Tensor, second: Tensor, blur: float) -> Tensor:
    """The dual value of optimal transport with entropy; see `divergence`."""
    cost = 0.5 * (
        first.square().sum(-1)[:, :, None]
        + second.square().sum(-1)[:, None]
        - 2 * first @ second.transpose(1, 2)
    )
    with torch.no_grad():
        _, g = _potentials(cost, blur**2)
    # The best potentials do not move to first order: one last step of one side carries the
    # gradient, which is the plan.
    return _soft_minimum(cost, g, blur**2, 2).mean(1) + g.mean(1)


def _potentials(cost: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Potentials of both sides, from large entropies to small ones.

    The first is the same whatever the costs: to begin at their size would be to wait for it.
    """
    f, g = torch.zeros_like(cost[:, :, 0]), torch.zeros_like(cost[:, 0])
    for step in range(HALVINGS + SWEEPS):
        now = max(epsilon, epsilon * 2.0 ** (HALVINGS - step))
        f, g = _soft_minimum(cost, g, now, 2), _soft_minimum(cost, f, now, 1)
        # Averaging keeps both sides in step.
        f = 0.5 * (f + _soft_minimum(cost, g, now, 2))
        g = 0.5 * (g + _soft_minimum(cost, f, now, 1))
    return f, g


def _soft_minimum(cost: Tensor, other: Tensor, epsilon: float, axis: int) -> Tensor:
    """The soft minimum of cost less potential over one side."""
    spread = other[:, None] if axis == 2 else other[:, :, None]
    count = cost.shape[axis]
    return -epsilon * (torch.logsumexp((spread - cost) / epsilon, axis) - math.log(count))
