"""BGAD: normal features alone first, then anomalies are pushed below the boundary, and no farther."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ctscreener.flow import FlowSettings
from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, one_scan, random_features
from training.baselines.bgad import BgadSettings, Boundary, phases
from training.baselines.cflow import build
from training.baselines.parts.blobs import draw_blob, draw_blobs, with_blobs
from training.baselines.parts.semi_push_pull import (
    boundary,
    boundary_guided,
    focal_anomalous,
    focal_normal,
)
from training.data.patches import PatchSettings
from training.data.store import Store

SPACING = np.array([2.25, 1.5, 1.5])
CPU = torch.device("cpu")


def settings_for(folder: Path) -> BgadSettings:
    """A small one."""
    return BgadSettings(
        features=random_features(folder),
        patches=PatchSettings(size=(4, 24, 24), count=2),
        rows=64,
        anomalous=32,
        flow=FlowSettings(blocks=2, hidden=16),
        condition=8,
        smooth=0.0,
        loop=LOOP,
    )


def test_the_boundary_is_a_quantile_without_a_gradient() -> None:
    likely = torch.randperm(100).float().requires_grad_()
    found = boundary(likely, 0.05)
    assert (found.item(), found.requires_grad) == (5.0, False)


def test_it_pulls_what_is_below_and_pushes_what_is_above_up_to_the_margin() -> None:
    normal = torch.tensor([-10.0, -1.0, 0.0, 1.0], requires_grad=True)
    odd = torch.tensor([-9.0, -2.0, -1.2, 3.0], requires_grad=True)
    # The boundary of a quarter is the second of the four, -1; that of anomalies is -1.5.
    loss = boundary_guided(normal, odd, 0.25, 0.5, 1.0)
    expected = (9.0 + 0.0) / 2 + ((-1.2 + 1.5) + (3.0 + 1.5)) / 2
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert normal.grad is not None
    assert odd.grad is not None
    assert (normal.grad != 0).tolist() == [True, True, False, False]
    assert (odd.grad != 0).tolist() == [False, False, True, True]


def test_hard_features_weigh_more() -> None:
    likely = torch.tensor([-40.0, -20.0, -5.0, -1.0])
    normal, odd = focal_normal(likely, 10.0), focal_anomalous(likely, 10.0)
    assert normal[3] == 1
    assert (normal[:3].diff() < 0).all()
    assert odd[0] == odd[1] == 1
    assert odd[3] > odd[2] > 1
    assert odd[2].item() == pytest.approx(0.53 * (1 + np.exp(-0.5)) ** 2 / 0.5)


def test_anomalies_count_after_the_first_part(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    settings = replace(settings, loop=replace(LOOP, steps=20), plain_share=0.2)
    rival = build(settings, PreprocessSettings())
    (phase,) = phases(settings, rival, Store(one_scan(tmp_path / "store", "ab")))
    told = [bool(phase.task.render(phase.task.load(n), CPU)[0]) for n in (0, 3, 4, 19)]
    assert told == [False, False, True, True]
    objective = phase.task.objective
    assert isinstance(objective, Boundary)
    batch = phase.task.render(phase.task.load(4), CPU)
    assert [len(part) for part in batch[2:]] == [64, 64, 32, 32] * 2
    later, sooner = objective(*batch), objective(torch.tensor(False), *batch[1:])
    assert later["push"] > 0
    assert sooner["push"] == 0
    torch.testing.assert_close(later["loss"], sooner["loss"] + later["push"])
    # Without a made-up anomaly in the crops, what stands in its place is none.
    assert objective(batch[0], torch.tensor(False), *batch[2:])["push"] == 0
    none = replace(settings, anomalous=0)
    (phase,) = phases(none, rival, Store(tmp_path / "store"))
    assert objective(*phase.task.render(phase.task.load(9), CPU))["push"] == 0


def test_blobs_are_changed_where_the_mask_says_and_within_the_body() -> None:
    rng = np.random.default_rng(0)
    share = draw_blob((20, 30, 40), SPACING, (5.0, 5.0), rng)
    assert 0 <= share.min() <= share.max() <= 1
    clean = torch.rand(6, 1, 12, 20, 20)
    body = torch.zeros_like(clean, dtype=torch.bool)
    body[..., 2:-2, :] = True
    changed, mask = with_blobs(clean, body, draw_blobs(6, (12, 20, 20), SPACING, (5.0, 8.0), rng))
    assert mask.any()
    assert not (mask & ~body).any()
    assert torch.equal(changed[~body], clean[~body])
    assert (changed[mask] != clean[mask]).float().mean() > 0.9
