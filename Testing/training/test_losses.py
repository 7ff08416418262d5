"""Losses against references of a few lines that follow the formulas."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.losses import Expander, Projector, VicregSettings, info_nce, vicreg


def views(count: int, channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    first, noise = torch.randn((2, count, channels), generator=generator, dtype=torch.float64)
    first[:, 1] += 0.7 * first[:, 0]
    second = first + 0.3 * noise
    return first.requires_grad_(), second.requires_grad_()


def plain_vicreg(first: Tensor, second: Tensor, settings: VicregSettings) -> Tensor:
    share = {"mean": 0.5, "sum": 1.0}[settings.reduction]
    loss = settings.invariance * (first - second).square().mean()
    for z in (first, second):
        c = torch.cov(z.T)
        hinge = functional.relu(1 - (c.diag() + settings.epsilon).sqrt()).mean()
        off = c[~torch.eye(len(c), dtype=torch.bool)].square().sum() / len(c)
        loss = loss + share * (settings.variance * hinge + settings.covariance * off)
    return loss


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("count", "channels"), [(64, 6), (8, 40)])
def test_vicreg_and_its_gradient_follow_the_formula(
    count: int, channels: int, reduction: str
) -> None:
    """With fewer voxels than channels the other Gram matrix is used."""
    settings = VicregSettings(reduction=reduction)  # pyright: ignore[reportArgumentType]
    first, second = views(count, channels)
    found = vicreg(first * 0.7, second * 0.7, settings)["loss"]
    expected = plain_vicreg(first * 0.7, second * 0.7, settings)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    for one, other in zip(
        torch.autograd.grad(found, (first, second)),
        torch.autograd.grad(expected, (first, second)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_vicreg_of_equal_uncorrelated_views_of_deviation_one_is_zero() -> None:
    rows = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 1.2
    assert vicreg(rows, rows, VicregSettings())["loss"].item() == pytest.approx(0, abs=1e-5)
    collapsed = vicreg(torch.zeros(4, 2), torch.zeros(4, 2), VicregSettings())
    assert collapsed["variance"].item() == pytest.approx(0.99, abs=1e-4)


def plain_nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    z = functional.normalize(torch.cat([first, second]), dim=1)
    logits = z @ z.T / temperature
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), float("-inf"))
    positives = torch.arange(len(z)).roll(len(z) // 2)
    return functional.cross_entropy(logits, positives)


@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
def test_info_nce_in_chunks_and_its_gradient_are_those_of_the_whole(chunk: int) -> None:
    first, second = views(32, 5)
    found = info_nce(first, second, 0.1, chunk)["loss"]
    expected = plain_nt_xent(first, second, 0.1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    for one, other in zip(
        torch.autograd.grad(found, (first, second)),
        torch.autograd.grad(expected, (first, second)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_losses_are_float32_under_autocast() -> None:
    first, second = (z.detach().float() for z in views(64, 16))
    plain = [vicreg(first, second, VicregSettings())["loss"], info_nce(first, second)["loss"]]
    with torch.autocast("cpu", torch.bfloat16):
        cast = [vicreg(first, second, VicregSettings())["loss"], info_nce(first, second)["loss"]]
    assert torch.equal(torch.stack(plain), torch.stack(cast))


def test_heads_have_the_widths_that_were_asked_for() -> None:
    assert Expander(4, 24)(torch.zeros(3, 4)).shape == (3, 24)
    assert Projector(4, 24, 6)(torch.zeros(3, 4)).shape == (3, 6)
