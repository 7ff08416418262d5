"""The denoising autoencoder: its noise is coarse and lies in the body, and it learns to remove it."""

from pathlib import Path

import torch

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    LOOP,
    finds_a_lump,
    one_scan,
)
from training.baselines.denoising import Denoising, DenoisingSettings, coarse_noise, phases
from training.baselines.parts.encoder_decoder import EncoderDecoder
from training.baselines.stage import METHODS
from training.data.chance import chances_of
from training.data.patches import PatchSettings
from training.data.store import Store

CPU = torch.device("cpu")

SETTINGS = DenoisingSettings(
    patches=PatchSettings(size=(8, 16, 16), count=4),
    channels=(8, 16),
    coarse=4,
    smooth=0.0,
    loop=LOOP,
)


def settings_for(folder: Path) -> DenoisingSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_it_learns_a_scan_and_a_lump_stands_out(tmp_path: Path) -> None:
    finds_a_lump("denoising", SETTINGS, tmp_path, steps=80, falls_to=0.3, times=2)


def test_noise_is_drawn_on_a_coarser_grid_and_brought_up_linearly() -> None:
    chances = chances_of(0, CPU)
    noise = coarse_noise(torch.Size((40, 1, 32, 32, 32)), 8, chances)
    assert noise.shape == (40, 1, 32, 32, 32)
    assert noise.mean().abs() < 0.05
    # Linear between coarse voxels: the second difference is 0 all but where pieces meet.
    bends = noise.diff(dim=2).diff(dim=2).abs().amax(dim=(0, 1, 3, 4)) > 1e-4
    assert bends.any()
    single = noise[:1].diff(dim=2).diff(dim=2).abs().amax(dim=(0, 1, 3, 4)) > 1e-4
    assert 0 < single.sum() <= 2 * (32 // 8 + 1)
    again = coarse_noise(torch.Size((40, 1, 32, 32, 32)), 8, chances_of(0, CPU))
    assert torch.equal(noise, again)


def test_noise_lies_in_the_body_alone_and_the_target_is_clean(tmp_path: Path) -> None:
    store = Store(one_scan(tmp_path / "store"))
    rival = METHODS["denoising"].build(SETTINGS, PreprocessSettings())
    (phase,) = phases(SETTINGS, rival, store)
    drawn = phase.task.load(3)
    noisy, clean, body = phase.task.render(drawn, torch.device("cpu"))
    assert torch.equal(clean, drawn.images(SETTINGS.patches.size, torch.device("cpu")))
    changed = noisy != clean
    assert changed[body].float().mean() > 0.99
    assert not changed[~body].any()
    assert (~body).any()
    strength = (noisy - clean)[body].std()
    assert 0.25 * SETTINGS.noise < strength < 1.1 * SETTINGS.noise


def test_the_loss_is_the_squared_error_within_the_body() -> None:
    torch.manual_seed(0)
    network = EncoderDecoder(1, 1, (8, 16)).eval()
    noisy, clean = torch.rand(2, 2, 1, 8, 8, 8)
    body = torch.rand(2, 1, 8, 8, 8) < 0.5
    expected = ((network(noisy) - clean)[body] ** 2).mean()
    torch.testing.assert_close(Denoising(network)(noisy, clean, body)["loss"], expected)
