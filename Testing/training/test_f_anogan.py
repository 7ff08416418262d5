"""f-AnoGAN: turns, the penalty, what is frozen; the encoder finds the drawing nearest to a crop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    LOOP,
    fit,
    losses,
    one_scan,
    prepared,
    scores_of,
)
from training.baselines.f_anogan import (
    AnoganSettings,
    Izif,
    Wasserstein,
    build,
    gradient_penalty,
    phases,
)
from training.data.patches import PatchSettings
from training.data.store import Store

SETTINGS = AnoganSettings(
    patches=PatchSettings(size=(8, 12, 12), count=4),
    channels=(8, 16),
    latent=8,
    critic_steps=2,
    encoder_steps=8,
    encoder_lr=1e-2,
    smooth=0.0,
    loop=replace(LOOP, betas=(0.0, 0.9), clip=1e6),
)


def settings_for(folder: Path) -> AnoganSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_it_learns_in_two_phases_and_scores_the_body(tmp_path: Path) -> None:
    store, settings = one_scan(tmp_path / "store"), replace(SETTINGS, encoder_steps=60)
    run = fit("f_anogan", settings, store, tmp_path / "run", steps=45)
    distance = losses(run, "gan", "distance")
    assert len(distance) == 30
    assert len(losses(run, "gan", "generator")) == 15
    assert np.abs(distance[-5:]).mean() > 0.01
    image = losses(run, "encoder", "image")
    assert image[-10:].mean() < image[:3].mean()
    scan = prepared(store)
    np.testing.assert_array_equal(np.isfinite(scores_of(run, scan)), scan.body)


@pytest.mark.parametrize("judges", [True, False])
def test_each_turn_moves_its_own_side_alone(judges: bool) -> None:
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings())
    gan = Wasserstein(rival.generator, rival.critic, 10.0)
    real, z, share = torch.rand(4, 1, 8, 12, 12), torch.randn(4, 8), torch.rand(4, 1, 1, 1, 1)
    gan(real, z, share, torch.tensor(judges))["loss"].backward()
    moved = {n: w.grad is not None for n, w in gan.named_parameters()}
    assert all(m == judges for n, m in moved.items() if n.startswith("critic"))
    assert all(m != judges for n, m in moved.items() if n.startswith("generator"))


def test_the_losses_are_those_of_the_wasserstein_gan() -> None:
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings())
    gan = Wasserstein(rival.generator, rival.critic, 10.0)
    real, z, share = torch.rand(4, 1, 8, 12, 12), torch.randn(4, 8), torch.rand(4, 1, 1, 1, 1)
    drawn = rival.generator(z).detach()
    found = gan(real, z, share, torch.tensor(True))
    mixed = (share * real + (1 - share) * drawn).requires_grad_()
    distance = rival.critic(real).mean() - rival.critic(drawn).mean()
    expected = 10 * gradient_penalty(rival.critic, mixed) - distance
    torch.testing.assert_close(found["loss"], expected)
    torch.testing.assert_close(
        gan(real, z, share, torch.tensor(False))["loss"], -rival.critic(drawn).mean()
    )


class Slope(nn.Module):
    """A critic whose gradient is `weight` at every voxel."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        """One number for each crop."""
        return self.weight * x.flatten(1).sum(dim=1)


def test_the_penalty_is_of_the_norm_over_all_voxels_and_has_a_gradient() -> None:
    critic = Slope(0.5)
    penalty = gradient_penalty(critic, torch.rand(3, 1, 4, 4, 4).requires_grad_())
    # Sixty-four voxels of slope .5 have the norm 4.
    assert penalty.item() == pytest.approx(9)
    penalty.backward()
    assert critic.weight.grad is not None
    assert critic.weight.grad.item() == pytest.approx(2 * 3 * 8)
    for module in build(SETTINGS, PreprocessSettings()).critic.modules():
        assert not isinstance(module, nn.BatchNorm3d | nn.InstanceNorm3d)


def test_generator_and_critic_stay_as_they_are_while_the_encoder_learns(tmp_path: Path) -> None:
    store = Store(one_scan(tmp_path / "store"))
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings())
    turns = phases(SETTINGS, rival, store)
    next(turns)
    encoder = next(turns).task
    frozen = {n: v.clone() for n, v in rival.state_dict().items() if "encoder" not in n}
    assert isinstance(encoder.objective, Izif)
    assert all(name.startswith("encoder") for name, _ in encoder.objective.named_parameters())
    encoder.objective.train()
    batch = encoder.render(encoder.load(0), torch.device("cpu"))
    first = encoder.objective(*batch)
    first["loss"].backward()
    assert all(w.grad is not None for w in rival.encoder.parameters())
    now = rival.state_dict()
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    total = first["image"] + SETTINGS.kappa * first["features"]
    torch.testing.assert_close(first["loss"].detach(), total)
