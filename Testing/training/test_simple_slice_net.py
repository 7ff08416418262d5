"""SimpleSliceNet: slices are averaged, three losses push, the network is tuned where asked for."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ctscreener.flow import FlowSettings
from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, fit, losses, one_scan, random_features, weights
from training.baselines.parts.semi_push_pull import ranking, triplet, triplet_of_batches
from training.baselines.simple_slice_net import (
    Push,
    SemiPushPull,
    SliceNet,
    SliceNetSettings,
    build,
    pushed,
)
from training.data.patches import PatchSettings


def settings_for(folder: Path) -> SliceNetSettings:
    """A small one."""
    return SliceNetSettings(
        features=random_features(folder),
        patches=PatchSettings(size=(6, 24, 24), count=2),
        width=16,
        rows=64,
        flow=FlowSettings(blocks=2, hidden=16),
        condition=8,
        smooth=0.0,
        loop=LOOP,
    )


def test_features_are_means_over_three_slices(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    rival = build(settings, PreprocessSettings())
    rival.describe.load(settings.features)
    x = torch.rand(1, 1, 6, 24, 24)
    found = rival.volume(x)
    assert found.shape == (1, 2, 6, 6, 16)
    alone = rival.describe.joined(x)[0, 3:6].mean(dim=0)
    # 64 channels in 16 groups of four.
    expected = alone.unflatten(-1, (16, 4)).mean(dim=-1)
    torch.testing.assert_close(found[0, 1], expected, rtol=1e-3, atol=1e-4)


def test_the_losses_are_those_of_torch() -> None:
    torch.manual_seed(0)
    normal, odd = torch.randn(2, 50)
    order = torch.randperm(50)
    near = nn.TripletMarginLoss(eps=0.0)
    rows = [part[:, None] for part in (normal, normal[order], odd)]
    torch.testing.assert_close(triplet(normal, odd, order), near(*rows))
    # What the authors' code calls it with: one sample of fifty numbers.
    torch.testing.assert_close(
        triplet_of_batches(normal, odd, order), near(normal, normal[order], odd)
    )
    expected = F.margin_ranking_loss(normal, odd, torch.ones(50), margin=1.0)
    torch.testing.assert_close(ranking(normal, odd), expected)


@pytest.mark.parametrize("push", ["triplet", "triplet-of-batches", "ranking", "boundary", "none"])
def test_every_push_makes_noisy_features_less_likely(tmp_path: Path, push: Push) -> None:
    # Distances of whole batches exceed a margin of 1 but for little noise.
    little = push == "triplet-of-batches"
    settings = replace(settings_for(tmp_path), push=push, noise=0.01 if little else 1.0)
    rival = build(settings, PreprocessSettings())
    objective = SemiPushPull(rival.flow, settings)
    rows, code, noise = torch.randn(64, 16), torch.randn(64, 8), torch.randn(64, 16)
    order = torch.randperm(64)
    found = objective(rows, code, noise, order)
    normal = -rival.flow.nll(rows, code) / 16
    expected = -F.logsigmoid(normal).mean()
    torch.testing.assert_close(found["likelihood"], expected)
    torch.testing.assert_close(found["loss"], expected + found["push"])
    assert (found["push"] == 0) == (push == "none")
    if push not in ("none", "triplet-of-batches"):
        odd = (-rival.flow.nll(rows + noise, code) / 16).detach().requires_grad_()
        pushed(normal.detach(), odd, order, settings).backward()
        assert odd.grad is not None
        # Less likely is better.
        assert odd.grad.sum() > 0


def test_tuning_moves_the_network_and_the_flow_does_not(tmp_path: Path) -> None:
    store = one_scan(tmp_path / "store", "ab")
    settings = replace(settings_for(tmp_path), width=8)
    plain = fit("simple_slice_net", settings, store, tmp_path / "plain", steps=3)
    tuned = replace(settings, tuning_steps=4, tuning_lr=1e-2)
    run = fit("simple_slice_net", tuned, store, tmp_path / "tuned", steps=3)
    assert len(losses(run, "tuning")) == 4
    fresh = build(settings, PreprocessSettings())
    assert isinstance(fresh, SliceNet)
    fresh.describe.load(settings.features)
    name = "describe.network.blocks.1.expand_conv.weight"
    assert torch.equal(weights(plain)[name], fresh.state_dict()[name])
    assert not torch.equal(weights(run)[name], fresh.state_dict()[name])
