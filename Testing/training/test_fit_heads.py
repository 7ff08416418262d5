"""Heads that are fitted give what the networks gave that were trained, and what statistics says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import multivariate_normal
from torch import nn

from ctscreener.heads import GaussianSettings, Source, halved
from training.fit_heads import (
    NEVER_SMALLER,
    FitSettings,
    Fitted,
    evened,
    fit_discriminator,
    fit_gaussian,
    side_by_side,
)

SOURCES = (Source(0), Source(1), Source(1, cube=3))
CHANNELS = {SOURCES[0]: 2, SOURCES[1]: 3, SOURCES[2]: 3}
FIT = FitSettings(hidden=5, epochs=2, batch=64, rate=1e-2)


def features(count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of channels of very different sizes, float16, and whether they are anomalous."""
    rng = np.random.default_rng(0)
    anomalous = rng.random(count) < 0.4
    x = rng.normal(size=(count, 8)) * np.geomspace(0.01, 100, 8) + np.linspace(-3, 50, 8)
    x[:, 4] += 6 * x[:, 4].std() * anomalous
    return torch.from_numpy(x).half(), torch.from_numpy(anomalous.astype(np.int8))


def odds(fitted: Fitted, x: torch.Tensor) -> torch.Tensor:
    """What a fitted network says of rows."""
    return F.relu(x.float() @ fitted.weight.T + fitted.bias) @ fitted.out + fitted.out_bias


def fitted(seed: int) -> Fitted:
    drawn = torch.Generator().manual_seed(seed)
    sizes = ((4, 8), (4,), (4,), (1,))
    return Fitted(*(torch.randn(size, generator=drawn) for size in sizes), loss=0.5)


def test_networks_side_by_side_give_their_mean() -> None:
    size, drawn = (5, 4, 6), torch.Generator().manual_seed(9)
    maps = {
        s: torch.randn(1, CHANNELS[s], *halved(size, s.level), generator=drawn) for s in SOURCES
    }
    some = [fitted(seed) for seed in range(3)]
    alone = [side_by_side([one], SOURCES, CHANNELS)(maps, size) for one in some]
    together = side_by_side(some, SOURCES, CHANNELS)
    assert together.settings.hidden == 12
    assert not any(p.requires_grad for p in together.parameters())
    torch.testing.assert_close(together(maps, size), torch.stack(alone).mean(0))
    # At a voxel of all grids, a network gives what it gave in training.
    row = torch.cat([maps[s][0, :, 0, 0, 0] for s in SOURCES[:2]])
    mean = maps[SOURCES[1]][0, :, :2, :2, :2].mean((1, 2, 3))
    expected = odds(some[0], torch.cat([row, mean])[None])
    torch.testing.assert_close(alone[0][0, 0, 0], expected[0], atol=1e-5, rtol=1e-5)


def test_standardization_is_folded_in_exactly() -> None:
    """A network that is not moved in training is the first one, on standardized rows."""
    x, anomalous = features()
    found = fit_discriminator(x, anomalous, torch.ones(len(x)), replace(FIT, rate=0.0), 7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        torch.randperm(len(x))
        first, last = nn.Linear(8, 5), nn.Linear(5, 1)
    wide = x.float()
    standard = (wide - wide.mean(0)) / (wide.std(0) + NEVER_SMALLER)
    expected = last(F.relu(first(standard)))[:, 0].detach()
    assert expected.std() > 0.05
    torch.testing.assert_close(odds(found, x), expected, atol=1e-4, rtol=1e-4)


def test_the_same_seed_gives_the_same_numbers_and_leaves_others_alone() -> None:
    x, anomalous = features()
    before = torch.random.get_rng_state()
    first, second, other = (
        fit_discriminator(x, anomalous, torch.ones(len(x)), FIT, seed) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    for name in ("weight", "bias", "out", "out_bias"):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))
    assert first.loss == second.loss != other.loss


def test_training_tells_apart_what_can_be_told_apart() -> None:
    x, anomalous = features(2000)
    found = fit_discriminator(x, anomalous, torch.ones(len(x)), replace(FIT, epochs=8), 0)
    right = (odds(found, x) > 0) == (anomalous > 0)
    assert right.float().mean() > 0.95
    assert found.loss < 0.4


def test_rows_that_weigh_nothing_are_not_learnt_from() -> None:
    """Half of the anomalies point the other way: weights decide which half is found."""
    x, anomalous = features(2000)
    other = x.clone()
    other[anomalous > 0] *= -1
    both, labels = torch.cat([x, other]), torch.cat([anomalous, anomalous])
    weights = torch.cat([torch.ones(len(x)), 1e-6 * torch.ones(len(x))])
    settings = replace(FIT, epochs=8)
    first = fit_discriminator(both, labels, weights, settings, 0)
    second = fit_discriminator(both, labels, weights.flip(0), settings, 0)
    mine, yours = x[anomalous > 0], other[anomalous > 0]
    assert (odds(first, mine) - odds(first, yours)).mean() > 0.5
    assert (odds(second, yours) - odds(second, mine)).mean() > 0.5


def test_weights_are_brought_to_a_mean_of_one_in_each_class() -> None:
    weights = evened(torch.tensor([1.0, 3, 5, 5]), torch.tensor([1, 1, 0, 0]))
    assert weights.tolist() == [0.5, 1.5, 1, 1]


@pytest.mark.parametrize("count", [2, 7, 65])
def test_few_rows_are_a_batch(count: int) -> None:
    x, anomalous = features(400)
    found = fit_discriminator(x[:count], anomalous[:count], torch.ones(count), FIT, 0)
    assert all(
        torch.isfinite(t).all() for t in (found.weight, found.bias, found.out, found.out_bias)
    )


def test_a_gaussian_of_all_components_is_that_of_scipy() -> None:
    source, rng = SOURCES[1], np.random.default_rng(3)
    rows = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + [5, -2, 0]
    x = torch.from_numpy(rows).half()
    made = fit_gaussian(x, GaussianSettings((source,), 3), CHANNELS)
    exact = x.double().numpy()
    scipys = multivariate_normal(exact.mean(0), np.cov(exact.T))
    maps = {source: x[:8].float().T.reshape(1, 3, 2, 2, 2)}
    found = made(maps, (3, 3, 3))[::2, ::2, ::2].flatten().numpy()
    np.testing.assert_allclose(found, -scipys.logpdf(exact[:8]), rtol=1e-3)


def test_the_largest_components_are_kept_and_white() -> None:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(600, 3)) * [0.1, 5.0, 1.0] + 3
    x = torch.from_numpy(rows).half()
    made = fit_gaussian(x, GaussianSettings((SOURCES[1],), 2), CHANNELS)
    z = (x.float() - made.mean) @ made.whiten.T
    torch.testing.assert_close(torch.cov(z.T), torch.eye(2), atol=1e-3, rtol=0)
    assert made.whiten[:, 0].abs().max() < 0.1 * made.whiten[:, 2].abs().max()


def test_more_components_than_channels_are_all_of_them() -> None:
    x = torch.from_numpy(np.random.default_rng(5).normal(size=(50, 3))).half()
    maps = {SOURCES[1]: x[:8].float().T.reshape(1, 3, 2, 2, 2)}
    three, nine = (
        fit_gaussian(x, GaussianSettings((SOURCES[1],), n), CHANNELS)(maps, (4, 4, 4))
        for n in (3, 9)
    )
    torch.testing.assert_close(three, nine)
