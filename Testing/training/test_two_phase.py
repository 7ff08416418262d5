"""The two-phase network: its shapes and shifts, its frozen restoration, and its three switches."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, fit, losses, one_scan, phases_of
from training.baselines.draem import Discriminative, focal_loss
from training.baselines.two_phase import (
    Marking,
    Restoring,
    TwoPhaseSettings,
    build,
    dilated,
    eroded,
    noise_mask,
    phases,
    with_shifts,
)
from training.data.chance import chances_of
from training.data.patches import PatchSettings
from training.data.store import Store

SETTINGS = TwoPhaseSettings(
    patches=PatchSettings(size=(8, 16, 16), count=4),
    restoring=(8, 16),
    marking=(8, 16),
    marking_share=0.5,
    window=7,
    threshold=0.2,
    blur=4.0,
    opening=3.0,
    clean=0.2,
    loop=LOOP,
)
SPACING = (2.25, 1.5, 1.5)
CPU = torch.device("cpu")


def settings_for(folder: Path) -> TwoPhaseSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_shapes_are_shifted_by_one_value_within_the_body() -> None:
    clean = 0.5 + 0.05 * torch.rand(40, 1, 12, 20, 20)
    body = torch.zeros_like(clean, dtype=torch.bool)
    body[..., 2:-2, 2:-2] = True
    changed, mask = with_shifts(clean, body, SPACING, SETTINGS, chances_of(0, CPU))
    assert torch.equal(changed[~mask], clean[~mask])
    assert not (mask & ~body).any()
    with_one = mask.flatten(1).any(dim=1)
    assert 0.5 < with_one.float().mean() < 1
    signs = set()
    for image, whole, some in zip(changed, clean, mask, strict=True):
        if some.any():
            moved = (image - whole)[some]
            assert moved.max() - moved.min() < 1e-5
            assert 60 / 255 - 1e-5 <= moved[0].abs() <= 100 / 255 + 1e-5
            signs.add(float(moved[0].sign()))
    assert signs == {-1.0, 1.0}


def test_shapes_have_no_speck_that_the_ball_does_not_fit_into() -> None:
    chances = chances_of(1, CPU)
    settings = replace(SETTINGS, opening=6.0)
    sizes = []
    for _ in range(8):
        mask = noise_mask(torch.Size((16, 32, 32)), SPACING, settings, chances)
        sizes.append(float(mask.float().mean()))
        reach = [1, 2, 2]
        assert torch.equal(dilated(eroded(mask, reach), reach), mask)
    assert 0 < sum(sizes) / len(sizes) < 0.3


def test_a_ball_grows_and_shrinks_a_box() -> None:
    mask = torch.zeros(9, 11, 11, dtype=torch.bool)
    mask[4, 5, 5] = True
    grown = dilated(mask, [1, 2, 2])
    assert grown.sum() == 2 + 13
    assert torch.equal(eroded(grown, [1, 2, 2]), mask)


def test_the_restoration_is_frozen_while_the_marking_learns(tmp_path: Path) -> None:
    store = one_scan(tmp_path / "store", "ab")
    run = fit("two_phase", SETTINGS, store, tmp_path / "run", steps=8)
    assert phases_of(run) == ["restoring", "marking"]
    assert [len(losses(run, phase)) for phase in phases_of(run)] == [8, 4]
    rival = build(SETTINGS, PreprocessSettings())
    first, second = phases(SETTINGS, rival, Store(store))
    assert isinstance(first.task.objective, Restoring)
    assert isinstance(second.task.objective, Marking)
    before = {k: v.clone() for k, v in rival.restoring.state_dict().items()}
    both, mask = second.task.render(second.task.load(0), CPU)
    second.task.objective.train()
    second.task.objective(both, mask)["loss"].backward()
    assert not any(weight.requires_grad for weight in rival.restoring.parameters())
    assert all(torch.equal(before[k], v) for k, v in rival.restoring.state_dict().items())


def test_losses_are_the_absolute_error_and_the_focal_loss(tmp_path: Path) -> None:
    rival = build(SETTINGS, PreprocessSettings()).eval()
    changed, clean = torch.rand(2, 2, 1, 8, 16, 16)
    mask = torch.rand(2, 1, 8, 16, 16) < 0.2
    found = Restoring(rival.restoring)(changed, clean, mask)["loss"]
    torch.testing.assert_close(found, (rival.restoring(changed) - clean).abs().mean())
    both = torch.cat([changed, clean], dim=1)
    expected = focal_loss(rival.marking(both), mask[:, 0].long())
    torch.testing.assert_close(Marking(rival.marking)(both, mask)["loss"], expected)


@pytest.mark.parametrize("two_phases", [True, False])
@pytest.mark.parametrize("pseudo", [True, False])
@pytest.mark.parametrize("unet", [True, False])
def test_the_switches_are_those_of_table_2(
    tmp_path: Path, two_phases: bool, pseudo: bool, unet: bool
) -> None:
    settings = replace(SETTINGS, two_phases=two_phases, pseudo=pseudo, unet=unet, clean=0.0)
    rival = build(settings, PreprocessSettings())
    assert rival.restoring.skips == unet
    found = list(phases(settings, rival, Store(one_scan(tmp_path / "store", "ab"))))
    assert len(found) == (2 if two_phases else 1)
    if not two_phases:
        assert isinstance(found[0].task.objective, Discriminative)
    changed, clean, mask = found[0].task.render(found[0].task.load(0), CPU)
    inside = mask & (changed > 0) & (changed < 1)
    moved = [(a - b)[m] for a, b, m in zip(changed, clean, inside, strict=True) if m.sum() > 20]
    # One value for a shape; a texture has many.
    assert moved
    assert all((some.max() - some.min() < 1e-5) == pseudo for some in moved)
