"""The flow is invertible, its densities integrate to one, and each row stands for itself."""

import math
from collections.abc import Callable

import pytest
import torch
import zuko
from torch import Tensor
from torch.distributions import AffineTransform

from ctscreener.flow import SOFT_CLAMP, ActNorm, Flow, FlowSettings, soft_clamp
from Testing.engine.small_model import perturb

D = 6


def seeded(seed: int = 0) -> torch.Generator:
    """A source of chance."""
    return torch.Generator().manual_seed(seed)


def flow(channels: int = D, condition: int = 0, noise: float = 0.2, blocks: int = 3) -> Flow:
    """A flow whose layers all do something."""
    made = Flow(channels, condition, FlowSettings(blocks, hidden=16), seeded())
    perturb(made, noise)
    return made


def rows(count: int, condition: int = 0, channels: int = D) -> tuple[Tensor, Tensor]:
    """Random descriptors and conditions."""
    both = torch.randn(count, channels + condition, generator=seeded(3))
    return both[:, :channels], both[:, channels:]


@pytest.mark.parametrize("condition", [0, 4])
def test_the_inverse_undoes_the_flow(condition: int) -> None:
    model, (y, c) = flow(condition=condition), rows(50, condition)
    z = model(y, c)[0]
    assert (z - y).abs().mean() > 0.1
    torch.testing.assert_close(model.inverse(z, c), y, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("condition", [0, 4])
@pytest.mark.parametrize("channels", [2, D, 7])
def test_each_rows_log_determinant_is_that_of_its_jacobian(channels: int, condition: int) -> None:
    model, (y, c) = flow(channels, condition), rows(20, condition, channels)

    def forward(row: Tensor, given: Tensor) -> Tensor:
        return model(row[None], given[None])[0][0]

    jacobians = torch.func.vmap(torch.func.jacrev(forward))(y, c)
    expected = torch.linalg.slogdet(jacobians).logabsdet
    assert expected.std() > 0.01
    torch.testing.assert_close(model(y, c)[1], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("condition", [0, 2])
def test_the_density_integrates_to_one(condition: int) -> None:
    model = flow(2, condition)
    side = torch.linspace(-24, 24, 1201)
    y = torch.cartesian_prod(side, side)
    c = torch.tensor([0.7, -1.2])[:condition].expand(len(y), -1)
    with torch.no_grad():
        mass = (-model.nll(y, c)).exp().sum() * (side[1] - side[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=0.01)


def test_a_new_flow_is_the_standard_gaussian() -> None:
    model, (y, c) = flow(condition=4, noise=0), rows(20, 4)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(model.nll(y, c), -normal.log_prob(y).sum(-1))


def test_the_couplings_are_zukos_affine_couplings() -> None:
    model = flow(4, 0, blocks=1)
    norm, rotation, coupling = next(iter(model.layers()))
    y, c = rows(30, channels=4)
    scaled = AffineTransform(norm.shift * norm.log_scale.exp(), norm.log_scale.exp())
    turned = zuko.transforms.RotationTransform(torch.zeros(4, 4))
    turned.R = rotation.matrix.T

    def meta(kept: Tensor) -> zuko.transforms.DependentTransform:
        log_scale, shift = coupling.read(kept, c)
        return zuko.transforms.DependentTransform(AffineTransform(shift, log_scale.exp()), 1)

    coupled = zuko.transforms.CouplingTransform(meta, torch.BoolTensor([True, True, False, False]))
    base = zuko.distributions.DiagNormal(torch.zeros(4), torch.ones(4))
    steps = zuko.transforms.ComposedTransform(
        zuko.transforms.DependentTransform(scaled, 1), turned, coupled
    )
    expected = -zuko.distributions.NormalizingFlow(steps, base).log_prob(y)
    torch.testing.assert_close(model.nll(y, c), expected, atol=1e-4, rtol=1e-4)


def test_it_learns_a_bent_density_as_well_as_zukos_flow() -> None:
    def banana(count: int, seed: int) -> Tensor:
        x, noise = torch.randn(2, count, generator=seeded(seed))
        return torch.stack([x, 0.5 * noise + x.square() - 1], dim=1)

    train, held_out = banana(2000, 1), banana(2000, 2)
    ours = Flow(2, 0, FlowSettings(blocks=4, hidden=32), seeded())
    ours.initialize(train, train[:, :0])
    torch.manual_seed(0)
    theirs = zuko.flows.MAF(2, transforms=2, hidden_features=(32, 32))
    nll = {
        "ours": fitted(ours, lambda y: ours.nll(y, y[:, :0]), train, held_out),
        "theirs": fitted(theirs, lambda y: -theirs().log_prob(y), train, held_out),
    }
    # -log p of the true density on average: two Gaussians, one of deviation 0.5.
    entropy = 1 + math.log(2 * math.pi) + math.log(0.5)
    assert nll["ours"] == pytest.approx(entropy, abs=0.15)
    assert nll["ours"] == pytest.approx(nll["theirs"], abs=0.15)


def fitted(
    model: torch.nn.Module, nll: Callable[[Tensor], Tensor], train: Tensor, held_out: Tensor
) -> float:
    """Held-out nll in nats after a short training."""
    generator = seeded(4)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(200):
        batch = train[torch.randint(len(train), (256,), generator=generator)]
        optimizer.zero_grad()
        nll(batch).mean().backward()
        optimizer.step()
    with torch.no_grad():
        return nll(held_out).mean().item()


def test_initializing_standardizes_the_input_of_every_rotation() -> None:
    model = flow(noise=0.3)
    y, c = rows(500)
    y = 7 * y + torch.arange(D)
    model.initialize(y, c)
    for norm, rotation, coupling in model.layers():
        y = norm(y, c)[0]
        torch.testing.assert_close(y.mean(0), torch.zeros(D), atol=1e-4, rtol=0)
        torch.testing.assert_close(y.std(0), torch.ones(D), atol=1e-4, rtol=0)
        y = coupling(rotation(y), c)[0]


def test_a_constant_channel_can_be_initialized() -> None:
    norm = ActNorm(2, 0)
    y = torch.stack([torch.ones(50), torch.randn(50)], dim=1)
    norm.initialize(y)
    assert torch.isfinite(norm(y, y[:, :0])[0]).all()


@pytest.mark.parametrize("condition", [0, 4])
def test_a_rows_nll_does_not_depend_on_the_other_rows(condition: int) -> None:
    model, (y, c) = flow(condition=condition), rows(40, condition)
    together = model.nll(y, c)
    alone = torch.cat([model.nll(y[i : i + 1], c[i : i + 1]) for i in range(40)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    y[1:] *= 100
    torch.testing.assert_close(model.nll(y, c)[0], together[0], atol=1e-5, rtol=1e-5)


def test_log_scales_are_bounded_and_free_around_zero() -> None:
    a = torch.tensor([-1e6, -0.01, 0.0, 0.01, 1e6])
    bent = soft_clamp(a)
    assert bent.abs().max() <= SOFT_CLAMP
    torch.testing.assert_close(bent[1:4], a[1:4], rtol=1e-4, atol=0)
    model, (y, c) = flow(condition=4, noise=5), rows(20, 4)
    # Three couplings of three channels and three act-norms of six, each of which is bounded.
    for norm in model.norms:
        assert isinstance(norm, ActNorm)
        torch.nn.init.zeros_(norm.log_scale)
    assert model(1e3 * y, 1e3 * c)[1].abs().max() <= 27 * SOFT_CLAMP + 1e-3


def test_extreme_descriptors_stay_finite_at_the_usual_depth() -> None:
    made = Flow(32, 9, FlowSettings(hidden=64), seeded())
    perturb(made, 0.05)
    y, c = rows(20, 9, 32)
    assert torch.isfinite(made.nll(1e4 * y, c)).all()


def test_bfloat16_networks_hardly_change_the_nll() -> None:
    model, (y, c) = flow(condition=4, noise=0.1), rows(50, 4)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = model.nll(y, c)
    assert reduced.dtype == torch.float32
    torch.testing.assert_close(reduced, model.nll(y, c), atol=0.1, rtol=0.01)
