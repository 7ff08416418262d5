"""CFLOW: its loss, its conditions, its frozen features, and that likely features become likelier."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ctscreener.flow import FlowSettings
from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    LOOP,
    fit,
    losses,
    one_scan,
    prepared,
    random_features,
    scores_of,
    weights,
    with_lump,
)
from training.baselines.cflow import CflowSettings, Decoders, build
from training.baselines.parts.slice_rows import encode
from training.data.patches import PatchSettings


def settings_for(folder: Path) -> CflowSettings:
    """A small one."""
    return CflowSettings(
        features=random_features(folder),
        patches=PatchSettings(size=(4, 24, 24), count=2),
        rows=64,
        flow=FlowSettings(blocks=2, hidden=16),
        condition=8,
        smooth=0.0,
        loop=LOOP,
    )


def test_it_learns_and_a_lump_is_unlikely(tmp_path: Path) -> None:
    store, settings = one_scan(tmp_path / "store"), settings_for(tmp_path)
    run = fit("cflow", settings, store, tmp_path / "run", steps=40)
    nll = losses(run, "cflow", "nll")
    assert nll[-5:].mean() < nll[:3].mean() - 0.1
    scan, lump = with_lump(prepared(store))
    scores = scores_of(run, scan)
    np.testing.assert_array_equal(np.isfinite(scores), scan.body)
    assert np.median(scores[lump & scan.body]) > np.quantile(scores[scan.body & ~lump], 0.7)
    fresh = build(settings, PreprocessSettings())
    fresh.describe.load(settings.features)
    for name, value in fresh.describe.state_dict().items():
        assert torch.equal(weights(run)[f"describe.{name}"], value)


def test_the_loss_is_the_log_sigmoid_of_the_likelihood_of_a_channel(tmp_path: Path) -> None:
    rival = build(settings_for(tmp_path), PreprocessSettings())
    batch = [torch.randn(20, width) for width in (24, 8, 40, 8)]
    found = Decoders(rival.flows)(*batch)["loss"]
    parts = []
    for flow, rows, condition in zip(rival.flows, batch[::2], batch[1::2], strict=True):
        z, log_det = flow(rows, condition)
        likely = -0.5 * (z**2 + math.log(2 * math.pi)).sum(dim=1) + log_det
        parts.append(-torch.log(torch.sigmoid(likely / rows.shape[1])).mean())
    torch.testing.assert_close(found, (parts[0] + parts[1]) / 2)


def test_the_condition_is_the_place_within_the_slice() -> None:
    places = torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.2, 0.3], [0.1, 0.2, 0.4]])
    found = encode(places, 8)
    assert found.shape == (3, 8)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    expected = [
        f(math.pi * w * p) for p in (0.2, 0.3) for f in (math.sin, math.cos) for w in (1, 100)
    ]
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_a_condition_that_cannot_be_shared_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no multiple of 4"):
        build(replace(settings_for(tmp_path), condition=6), PreprocessSettings())
