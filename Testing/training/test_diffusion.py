"""Patched diffusion: noise lies in one patch, the error counts there, a screening is no chance."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP
from training.baselines.diffusion import (
    Diffusing,
    DiffusionSettings,
    boxes,
    build,
    drowned,
    kept,
    smooth_noise,
    with_patch,
)
from training.data.chance import chances_of
from training.data.patches import PatchSettings

CPU = torch.device("cpu")

SETTINGS = DiffusionSettings(
    patches=PatchSettings(size=(8, 16, 16), count=4),
    channels=(8, 16),
    patch=(4, 8, 8),
    octaves=2,
    smooth=0.0,
    loop=LOOP,
)


def settings_for(folder: Path) -> DiffusionSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_noise_lies_in_one_patch_of_the_grid() -> None:
    clean = torch.rand(30, 1, 8, 16, 16)
    noisy, step, mask = with_patch(clean, SETTINGS, chances_of(0, CPU))
    assert torch.equal(noisy[~mask], clean[~mask])
    assert (noisy[mask] != clean[mask]).float().mean() > 0.95
    assert (mask.flatten(1).sum(dim=1) == 4 * 8 * 8).all()
    assert 1 <= step.min() < step.max() <= 1000
    grid = boxes(clean.shape[2:], SETTINGS.patch)
    assert len(grid) == 8
    cover = torch.zeros(8, 16, 16)
    for box in grid:
        cover[box] += 1
    assert (cover == 1).all()
    where = {tuple(torch.nonzero(one[0])[0].tolist()) for one in mask}
    assert where == {tuple(axis.start for axis in box) for box in grid}


def test_the_image_drowns_and_the_variance_stays() -> None:
    share = kept(torch.arange(1001), 1000)
    assert share[0] == 1
    assert share[-1] < 1e-4
    assert (share.diff() < 0).all()
    image, noise = torch.randn(2, 4, 1, 8, 8, 8)
    found = drowned(image, noise, torch.tensor([1, 300, 500, 1000]), 1000)
    a = kept(torch.tensor(500), 1000)
    torch.testing.assert_close(found[2], a.sqrt() * image[2] + (1 - a).sqrt() * noise[2])
    torch.testing.assert_close(found[3], noise[3], atol=0.05, rtol=0)


def test_noise_varies_slowly_or_not() -> None:
    chances = chances_of(0, CPU)
    slow, white = (smooth_noise((16, 24, 24), octaves, chances) for octaves in (2, 0))
    for noise in (slow, white):
        assert noise.mean().abs() < 0.05
        assert noise.std().item() == pytest.approx(1, abs=0.05)
    assert slow.diff(dim=2).abs().mean() < 0.5 * white.diff(dim=2).abs().mean()


def test_the_loss_counts_within_the_patch_alone() -> None:
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings()).eval()
    noisy, clean = torch.randn(2, 2, 1, 8, 16, 16)
    mask = torch.rand(2, 1, 8, 16, 16) < 0.3
    step = torch.tensor([10, 700])
    expected = (rival.restored(noisy, step) - clean)[mask].abs().mean()
    torch.testing.assert_close(Diffusing(rival)(noisy, clean, step, mask)["loss"], expected)
    # The network is told the step.
    assert not torch.equal(rival.restored(noisy, step), rival.restored(noisy, step + 50))


def test_a_screening_restores_each_patch_from_the_others_and_draws_nothing() -> None:
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings()).eval()
    x = torch.rand(1, 1, 8, 16, 16)
    found = rival.voxels(x)
    assert torch.equal(found, rival.voxels(x))
    box = boxes(x.shape[2:], SETTINGS.patch)[3]
    noisy, step = 2 * x - 1, torch.tensor([500])
    noisy[..., *box] = drowned(noisy[..., *box], rival.noise, step, 1000)
    expected = (rival.restored(noisy, step) - (2 * x - 1))[..., *box].abs()
    torch.testing.assert_close(found[..., *box], expected)


def test_crops_that_no_patches_fill_are_refused() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        build(replace(SETTINGS, patch=(3, 8, 8)), PreprocessSettings())
