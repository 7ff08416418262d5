"""The autoencoder: it learns, resumes, passes its narrow middle alone, and scores what it cannot."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    LOOP,
    finds_a_lump,
)
from training.baselines.autoencoder import AutoencoderSettings, build
from training.data.patches import PatchSettings

SETTINGS = AutoencoderSettings(
    patches=PatchSettings(size=(16, 24, 24), count=4),
    channels=(8, 16),
    latent=16,
    narrow=4,
    smooth=0.0,
    loop=LOOP,
)


def settings_for(folder: Path) -> AutoencoderSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_it_learns_a_scan_and_a_lump_stands_out(tmp_path: Path) -> None:
    finds_a_lump("autoencoder", SETTINGS, tmp_path, steps=120, falls_to=0.4, times=3)


@pytest.mark.parametrize("latent", [0, 16])
def test_all_that_comes_out_has_passed_the_middle(latent: int) -> None:
    rival = build(replace(SETTINGS, latent=latent), PreprocessSettings()).eval()
    x = torch.rand(2, 1, 16, 24, 24)
    network = rival.network
    squeezed = network.encoder(x)
    torch.testing.assert_close(network(x), network.decoder(network.middle(squeezed)))
    # Where the middle says the same of two images, so does what comes out.
    with torch.no_grad():
        for weight in network.encoder[-1].parameters():
            weight.zero_()
    first, second = network(x)
    torch.testing.assert_close(first, second)
    assert squeezed[0].numel() * 27 < 10 * x[0].numel()


def test_the_score_is_the_absolute_residual() -> None:
    rival = build(SETTINGS, PreprocessSettings()).eval()
    x = torch.rand(1, 1, 16, 24, 24)
    where = torch.ones(1, 16, 24, 24, dtype=torch.bool)
    found = rival.scores(x, torch.zeros(1, 3, 16, 24, 24), where)
    torch.testing.assert_close(found, (x - rival.network(x)).abs()[:, 0])


def test_a_dense_middle_takes_tiles_of_one_size() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        build(SETTINGS, PreprocessSettings()).settings.with_tile((8, 12, 12))
