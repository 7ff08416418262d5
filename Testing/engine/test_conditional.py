"""A density with conditions gives what its definition says, computed the long way round."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.distributions import MultivariateNormal

from ctscreener import conditional
from ctscreener.conditional import Conditional, condition_width, new_density, shares
from ctscreener.heads import Gaussian, GaussianSettings, Source, halved
from Testing.engine.small_model import perturb

SOURCE = Source(1)
CHANNELS = {SOURCE: 5}
SIZE = (9, 8, 11)
BOTH = GaussianSettings((SOURCE,), 3, sincos=2, surround=((0, 1), (1, 3)))


def density(settings: GaussianSettings, spread: float = 0.3) -> Conditional:
    """One with random numbers."""
    made = Conditional(settings, CHANNELS)
    numbers = torch.Generator().manual_seed(0)
    for name, value in made.named_buffers():
        if value.is_floating_point() and "rotations" not in name:
            value.copy_(torch.randn(value.shape, generator=numbers))
    made.c_std.abs_().add_(0.5)
    perturb(made, spread)
    return made.requires_grad_(False)


def seen() -> tuple[dict[Source, torch.Tensor], torch.Tensor]:
    """A map and a body of random voxels."""
    numbers = torch.Generator().manual_seed(1)
    maps = {SOURCE: torch.randn(1, 5, *halved(SIZE, 1), generator=numbers)}
    body = torch.rand(SIZE, generator=numbers) < 0.2
    body[:2], body[..., 9:] = False, False
    return maps, body


def condition_of(made: Conditional, z: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Conditions of a map of components `(K, d, h, w)`, by numpy and scipy."""
    d, h, w = (np.flatnonzero(body.any(tuple({0, 1, 2} - {axis}))) for axis in range(3))
    grid = np.indices(z.shape[1:]) * 2.0
    low = np.array([some.min() for some in (d, h, w)])[:, None, None, None]
    high = np.array([some.max() for some in (d, h, w)])[:, None, None, None]
    share = np.clip((grid - low) / (high - low), 0, 1)
    parts = []
    for k in range(made.settings.sincos):
        parts += [np.sin(2**k * np.pi * share), np.cos(2**k * np.pi * share)]
    for inner, outer in made.settings.surround:
        shell = np.ones([2 * outer + 1] * 3)
        shell[tuple([slice(outer - inner, outer + inner + 1)] * 3)] = 0
        count = ndimage.convolve(np.ones(z.shape[1:]), shell, mode="constant")
        total = np.stack([ndimage.convolve(c, shell, mode="constant") for c in z])
        parts.append(total / np.maximum(count, 1))
    return np.concatenate(parts)


@pytest.mark.parametrize("sincos", [0, 2])
@pytest.mark.parametrize("surround", [(), ((1, 3),), ((0, 1), (1, 3))])
def test_a_gaussian_is_that_of_torch_at_its_own_mean(
    sincos: int, surround: tuple[tuple[int, int], ...]
) -> None:
    made = density(GaussianSettings((SOURCE,), 3, sincos=sincos, surround=surround))
    maps, body = seen()
    y = maps[SOURCE][0].double() - made.mean.double()[:, None, None, None]
    z = np.einsum("kc,cdhw->kdhw", made.whiten.numpy(), y.numpy())
    given = sincos or surround
    c = condition_of(made, z, body.numpy()) if given else z[:0]
    assert len(c) == condition_width(made.settings)
    rows = torch.from_numpy(np.moveaxis(c, 0, -1))
    mean = ((rows - made.c_mean) / made.c_std) @ made.linear.double().T
    precision = made.residual.double().T @ made.residual.double()
    normal = MultivariateNormal(mean, precision_matrix=precision)
    expected = made.log_det - normal.log_prob(torch.from_numpy(np.moveaxis(z, 0, -1)))
    found = made(maps, SIZE, body)
    assert found.dtype == torch.float32
    assert found.shape == SIZE
    np.testing.assert_allclose(found[::2, ::2, ::2], expected, rtol=1e-4, atol=1e-3)


def test_a_flow_gives_densities_that_integrate_to_one() -> None:
    flow = GaussianSettings((SOURCE,), 2, head="flow", sincos=1, blocks=2, hidden=4)
    made = density(flow, 0.1)
    axis = torch.linspace(-12, 12, 401)
    z = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    for seed in (0, 1):
        c = torch.randn(1, 6, generator=torch.Generator().manual_seed(seed))
        nll = made.nll(z, c.expand(len(z), -1)) - made.log_det
        volume = float((-nll.double()).exp().sum() * (axis[1] - axis[0]) ** 2)
        assert volume == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("head", ["gaussian", "flow"])
def test_how_many_voxels_are_taken_at_a_time_changes_nothing(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"head": head, "sincos": 1, "surround": ((1, 2),), "blocks": 2, "hidden": 4}
    made = density(GaussianSettings((SOURCE,), 3, **settings))  # pyright: ignore[reportArgumentType]
    maps, body = seen()
    whole = made(maps, SIZE, body)
    monkeypatch.setattr(conditional, "ROWS", 7)
    torch.testing.assert_close(made(maps, SIZE, body), whole, atol=1e-4, rtol=1e-4)


def test_what_a_network_expects_is_the_last_of_the_condition() -> None:
    made, (maps, body) = density(replace(BOTH, invariant=4, invariant_hidden=5)), seen()
    z = made.components(maps)
    c, without = made.condition(z, body), density(BOTH).condition(z, body)
    assert made.invariant is not None
    assert torch.equal(c, torch.cat([without, made.invariant(z[None])[0]]))
    assert len(c) == condition_width(made.settings) == len(without) + 4
    plain = {SOURCE: maps[SOURCE].clone()}
    made.residual.copy_(torch.eye(3))
    made.linear.zero_()
    alone = made(plain, SIZE, body)
    made.linear[:, -4:] = 1.0
    assert not torch.allclose(made(plain, SIZE, body), alone)


def test_what_lies_beyond_a_shell_is_not_seen() -> None:
    made, (maps, body) = density(BOTH), seen()
    other = {SOURCE: maps[SOURCE].clone()}
    other[SOURCE][..., 0] += 5.0
    before, after = (made(some, SIZE, body)[::2, ::2, ::2] for some in (maps, other))
    changed = (before - after).abs().amax((0, 1)) > 1e-3
    assert changed.tolist() == [True] * 4 + [False] * 2


def test_an_absurd_voxel_stays_finite() -> None:
    made, (maps, body) = density(BOTH), seen()
    maps[SOURCE][0, :, 0, 0, 0] = 1e30
    assert torch.isfinite(made(maps, SIZE, body)).all()
    made = density(replace(BOTH, invariant=4, invariant_hidden=5))
    assert torch.isfinite(made(maps, SIZE, body)).all()


def test_without_a_body_places_are_those_of_the_first_face() -> None:
    assert float(shares(torch.zeros(2, 2, 2, dtype=torch.bool), 1, (2, 2, 2)).sum()) == 3 * 4


def test_the_settings_choose_the_head() -> None:
    assert isinstance(new_density(GaussianSettings((SOURCE,), 3), CHANNELS), Gaussian)
    assert isinstance(new_density(BOTH, CHANNELS), Conditional)
    flow = new_density(GaussianSettings((SOURCE,), 3, head="flow"), CHANNELS)
    assert isinstance(flow, Conditional)
    with pytest.raises(ValueError, match="shells"):
        GaussianSettings(surround=((2, 2),))
