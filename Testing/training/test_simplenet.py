"""SimpleNet: its hinge, its frozen features, and that it tells features from noisy ones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    LOOP,
    fit,
    losses,
    one_batch,
    one_scan,
    prepared,
    random_features,
    scores_of,
    weights,
)
from training.baselines.simplenet import Hinge, SimpleNetSettings, build
from training.data.patches import PatchSettings


def settings_for(folder: Path) -> SimpleNetSettings:
    """A small one."""
    return SimpleNetSettings(
        features=random_features(folder),
        patches=PatchSettings(size=(4, 24, 24), count=2),
        rows=64,
        hidden=32,
        noise=2.0,
        smooth=0.0,
        loop=LOOP,
    )


def test_it_learns_and_its_features_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_batch(monkeypatch)
    store, settings = one_scan(tmp_path / "store"), settings_for(tmp_path)
    run = fit("simplenet", settings, store, tmp_path / "run", steps=60)
    assert losses(run, "simplenet", "right")[-5:].mean() > 0.9
    scan = prepared(store)
    np.testing.assert_array_equal(np.isfinite(scores_of(run, scan)), scan.body)
    fresh = build(settings, PreprocessSettings())
    fresh.describe.load(settings.features)
    for name, value in fresh.describe.state_dict().items():
        assert torch.equal(weights(run)[f"describe.{name}"], value)


def test_the_loss_is_the_hinge_of_both_sides(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rival = build(settings_for(tmp_path), PreprocessSettings())
    hinge = Hinge(rival.adaptor, rival.discriminator, 0.3, 0.5).eval()
    rows, chance = torch.randn(2, 40, 64)
    features = rival.adaptor(rows)
    true = rival.discriminator(features)[:, 0]
    false = rival.discriminator(features + 0.3 * chance)[:, 0]
    expected = (0.5 - true).clamp(min=0).mean() + (0.5 + false).clamp(min=0).mean()
    torch.testing.assert_close(hinge(rows, chance)["loss"], expected)
    assert not any("describe" in name for name, _ in hinge.named_parameters())
