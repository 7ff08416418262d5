"""A density with conditions is fitted to what conditions explain."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings, Source, halved
from training.data.placed_rows import Placed, place
from training.fit_density import FitDensitySettings, conditions, fit_conditional

SOURCE = Source(1)
CHANNELS = {SOURCE: 3}


def rows(seed: int, count: int = 3000) -> tuple[Placed, torch.Tensor]:
    """Features that follow from their shells and noise, and the true nll of each row."""
    numbers = torch.Generator().manual_seed(seed)
    shell = torch.randn(count, 3, generator=numbers)
    mix = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.3, 0.0, 1.0]])
    features = shell @ mix + 0.5 * torch.randn(count, 3, generator=numbers)
    normal = MultivariateNormal(shell @ mix, 0.25 * torch.eye(3))
    places, voxels = torch.rand(count, 3, generator=numbers), torch.arange(count)
    made = Placed(str(seed), features, places, shell[:, None], voxels)
    return made, -normal.log_prob(features)


@pytest.mark.parametrize(("head", "near"), [("gaussian", 0.02), ("flow", 0.15)])
def test_the_nll_comes_near_the_true_one(head: str, near: float) -> None:
    settings = GaussianSettings((SOURCE,), 3, head, surround=((0, 1),), blocks=2, hidden=16)  # pyright: ignore[reportArgumentType]
    fit = FitDensitySettings(epochs=12, batch=128, rate=1e-2, noise=0.02)
    made = fit_conditional([rows(0)[0], rows(1)[0]], settings, CHANNELS, fit, 0)
    new, true = rows(2)
    z = (new.features - made.mean) @ made.whiten.T
    found = made.nll(z, conditions(made, [new]))
    assert abs(float((found - true).mean())) < near
    assert float(torch.corrcoef(torch.stack([found, true]))[0, 1]) > 1 - near


@pytest.mark.parametrize("sincos", [0, 2])
def test_rows_are_what_the_head_sees(sincos: int) -> None:
    size, numbers = (8, 10, 12), torch.Generator().manual_seed(4)
    maps = {SOURCE: torch.randn(1, 3, *halved(size, 1), generator=numbers)}
    body = torch.rand(size, generator=numbers) < 0.8
    settings = GaussianSettings((SOURCE,), 3, sincos=sincos, surround=((0, 1), (1, 2)))
    placed = Placed("", **place(maps, body, settings, 1000, np.random.default_rng(0)))
    assert len(placed.features) == int(body[::2, ::2, ::2].sum())
    made = fit_conditional([placed], settings, CHANNELS, FitDensitySettings(), 0)
    z = (placed.features.float() - made.mean) @ made.whiten.T
    expected = made.nll(z, conditions(made, [placed]))
    found = made(maps, size, body)[::2, ::2, ::2][body[::2, ::2, ::2]]
    torch.testing.assert_close(found.sort()[0], expected.sort()[0], atol=0.05, rtol=0.02)


@pytest.mark.parametrize("name", ["voxels", "epochs", "batch", "rate"])
def test_a_density_that_would_learn_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}=0"):
        FitDensitySettings(**{name: 0})  # pyright: ignore[reportArgumentType]


def test_a_seed_decides_a_flow() -> None:
    settings = GaussianSettings((SOURCE,), 3, "flow", blocks=2, hidden=8)
    fit, data = FitDensitySettings(epochs=1, batch=512), [rows(0)[0]]
    one, same, other = (fit_conditional(data, settings, CHANNELS, fit, s) for s in (0, 0, 1))
    weights = [
        made.state_dict()["flow.couplings.0.network.0.weight"] for made in (one, same, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
