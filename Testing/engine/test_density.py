"""The density heads agree with the distributions they are named after."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ctscreener import density as density_module
from ctscreener.density import (
    LOG_VARIANCE_LIMIT,
    ConditionalGaussian,
    Density,
    DensitySettings,
    FullGaussian,
)
from ctscreener.flow import FlowSettings
from Testing.engine.small_model import perturb

D, K = 4, 3
GRID = (2, 3, 4, 5)
GAUSSIAN = DensitySettings(head="gaussian", hidden=8)
FULL = DensitySettings(head="gaussian", covariance="full", hidden=8)
FLOW = DensitySettings(flow=FlowSettings(blocks=2, hidden=8))


def density(settings: DensitySettings, condition: int = K, noise: float = 0.3) -> Density:
    """A density of which no weight is zero."""
    made = Density(D, condition, settings, torch.Generator().manual_seed(0))
    perturb(made, noise)
    return made.requires_grad_(False)


def maps(condition: int = K) -> tuple[Tensor, Tensor, Tensor]:
    """Random descriptors, conditions and mask."""
    generator = torch.Generator().manual_seed(1)
    both = torch.randn(2, D + condition, *GRID[1:], generator=generator)
    return both[:, :D], both[:, D:], torch.rand(GRID, generator=generator) < 0.6


def test_a_marginal_gaussian_is_that_of_scipy() -> None:
    model, (y, c, where) = density(GAUSSIAN, 0), maps(0)
    head = model.head
    assert isinstance(head.mean, Tensor)
    assert isinstance(head.log_variance, Tensor)
    deviation = (head.log_variance / 2).exp().numpy()
    rows = y.movedim(1, -1)[where].numpy()
    expected = -stats.norm.logpdf(rows, head.mean.numpy(), deviation).sum(-1)
    np.testing.assert_allclose(model(y, c, where)[where], expected, rtol=1e-4)


def test_a_conditional_gaussian_is_that_of_torch_wherever_the_condition_is_constant() -> None:
    model, (y, c, _) = density(GAUSSIAN), maps()
    c = c[:1, :, :1, :1, :1].expand(2, -1, 7, 7, 7)
    y = y[:, :, :1, :1, :1].expand(-1, -1, 7, 7, 7)
    where = torch.zeros(2, 7, 7, 7, dtype=torch.bool)
    where[:, 3, 3, 3] = True
    assert isinstance(model.head, ConditionalGaussian)
    # Far from borders, a 3x3x3 convolution of a constant is the sum of its weights.
    first, *others = model.head.network
    assert isinstance(first, torch.nn.Conv3d)
    assert first.bias is not None
    h = first.weight.sum((2, 3, 4)) @ c[0, :, 0, 0, 0] + first.bias
    for layer in others:
        point = layer(h[:, None, None, None]) if isinstance(layer, torch.nn.Conv3d) else layer(h)
        h = point.reshape(-1)
    mean, a = h.chunk(2)
    deviation = (LOG_VARIANCE_LIMIT * (a / LOG_VARIANCE_LIMIT).tanh() / 2).exp()
    normal = torch.distributions.Normal(mean, deviation)
    expected = -normal.log_prob(y[:, :, 0, 0, 0]).sum(-1)
    assert expected[0] != expected[1]
    torch.testing.assert_close(model(y, c, where)[where], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("condition", [0, K])
def test_a_full_gaussian_is_that_of_torch(condition: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density_module, "ROWS", 7)
    model, (y, c, where) = density(FULL, condition), maps(condition)
    head = model.head
    assert isinstance(head, FullGaussian)
    rows, given = y.movedim(1, -1)[where], c.movedim(1, -1)[where]
    out = head.bias + (head.network(given) if head.network else 0 * rows[:, :1])
    limit = LOG_VARIANCE_LIMIT / 2
    lower = torch.diag_embed((limit * torch.tanh(out[:, D : 2 * D] / limit)).exp())
    at = 2 * D
    for offset in range(1, D):
        entries = out[:, at : at + D - offset]
        lower += torch.diag_embed(entries, offset=-offset)
        at += D - offset
    normal = torch.distributions.MultivariateNormal(out[:, :D], precision_matrix=lower.mT @ lower)
    torch.testing.assert_close(model(y, c, where)[where], -normal.log_prob(rows))


def test_a_full_gaussian_learns_which_channels_go_together() -> None:
    model = Density(2, 0, FULL, torch.Generator()).head
    first = torch.randn(4096, 1, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([first, 0.9 * first + 0.1 * torch.randn(4096, 1)], 1)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    assert isinstance(model, FullGaussian)
    for _ in range(200):
        optimizer.zero_grad()
        model.row_nll(rows, rows[:, :0]).mean().backward()
        optimizer.step()
    along, across = model.row_nll(torch.tensor([[2.0, 1.8], [2.0, -1.8]]), torch.zeros(2, 0))
    assert across > along + 50


def test_a_gaussians_variance_is_bounded_whatever_the_condition() -> None:
    model, (y, c, where) = density(GAUSSIAN), maps()
    nll = model(0 * y, 1e6 * c, where)[where]
    assert torch.isfinite(nll).all()
    least = D * 0.5 * (math.log(2 * math.pi) - LOG_VARIANCE_LIMIT)
    assert (nll >= least - 1e-3).all()


@pytest.mark.parametrize("condition", [0, K])
@pytest.mark.parametrize("settings", [GAUSSIAN, FULL, FLOW])
def test_only_the_asked_for_voxels_are_scored(settings: DensitySettings, condition: int) -> None:
    model, (y, c, where) = density(settings, condition), maps(condition)
    nll = model(y, c, where)
    assert nll.shape == GRID
    assert nll.dtype == torch.float32
    assert torch.equal(torch.isfinite(nll), where)
    everywhere = model(y, c, torch.ones_like(where))
    torch.testing.assert_close(nll[where], everywhere[where], rtol=1e-5, atol=1e-5)
    nothing = model(y, c, torch.zeros_like(where))
    assert torch.isnan(nothing).all()


@pytest.mark.parametrize("settings", [GAUSSIAN, FULL, FLOW])
def test_standardization_takes_scale_and_offset_away(settings: DensitySettings) -> None:
    model, (y, c, where) = density(settings), maps()
    plain = model(y, c, where)
    scale, offset = torch.tensor([0.1, 1, 10, 100.0]), torch.tensor([3.0, -200, 0, 1e3])
    model.y_std.copy_(scale)
    model.y_mean.copy_(offset)
    model.c_std.copy_(scale[:K])
    model.c_mean.copy_(offset[:K])
    y, c = (
        x * scale[: x.shape[1], None, None, None] + offset[: x.shape[1], None, None, None]
        for x in (y, c)
    )
    torch.testing.assert_close(model(y, c, where), plain, atol=0.02, rtol=0.02, equal_nan=True)
    torch.testing.assert_close(model.standardize_y(y)[:, 1], (y[:, 1] + 200), atol=1e-3, rtol=0)


def test_an_absurd_voxel_is_scored_and_is_the_rarest() -> None:
    settings = DensitySettings(flow=FlowSettings(blocks=32, hidden=8))
    model, (y, c, where) = density(settings, noise=0.05), maps()
    where[0, 0, 0, 0] = True
    y, c = y.clone(), c.clone()
    y[0, :, 0, 0, 0] = c[0, :, 0, 0, 0] = 1e4
    nll = model(y, c, where)
    assert torch.isfinite(nll[where]).all()
    assert nll[0, 0, 0, 0] == nll[where].max()
