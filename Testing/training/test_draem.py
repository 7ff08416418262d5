"""DRAEM: what it puts in and marks is the same, its losses are their formulas, and it learns both."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    LOOP,
    learns_to_mark,
    one_batch,
)
from training.baselines.draem import (
    Discriminative,
    Draem,
    DraemSettings,
    build,
    focal_loss,
    with_anomalies,
)
from training.baselines.parts.ssim import ssim
from training.data.chance import chances_of
from training.data.patches import PatchSettings

CPU = torch.device("cpu")

SETTINGS = DraemSettings(
    patches=PatchSettings(size=(8, 16, 16), count=4),
    restoring=(8, 16),
    marking=(8, 16),
    window=7,
    threshold=0.2,
    loop=LOOP,
)


def settings_for(folder: Path) -> DraemSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_it_learns_to_restore_and_to_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_batch(monkeypatch)
    falls = {"draem.squares": 0.7, "draem.structure": 0.7, "draem.focal": 0.7}
    assert isinstance(learns_to_mark("draem", SETTINGS, tmp_path, falls), Draem)


def test_anomalies_lie_in_the_body_where_the_mask_says_and_half_of_the_crops_have_none() -> None:
    clean = torch.rand(60, 1, 8, 12, 12)
    body = torch.zeros(60, 1, 8, 12, 12, dtype=torch.bool)
    body[:, :, 1:-1, 2:-2, 2:-2] = True
    changed, mask = with_anomalies(clean, body, SETTINGS, chances_of(0, CPU))
    assert torch.equal(changed[~mask], clean[~mask])
    assert (changed[mask] != clean[mask]).float().mean() > 0.95
    assert not (mask & ~body).any()
    with_one = mask.flatten(1).any(dim=1).float().mean()
    assert 0.25 < with_one < 0.6
    # At least a fifth of what is there is foreign.
    opaque = replace(SETTINGS, clean=0.0, beta=(0.0, 0.0))
    weak = replace(SETTINGS, clean=0.0, beta=(0.8, 0.8))
    moved = []
    for settings in (opaque, weak):
        changed, mask = with_anomalies(clean, body, settings, chances_of(0, CPU))
        moved.append((changed - clean)[mask].abs().mean())
    assert moved[1] == pytest.approx(0.2 * float(moved[0]), rel=1e-3)


def test_the_losses_are_their_formulas() -> None:
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings()).eval()
    changed, clean = torch.rand(2, 2, 1, 16, 24, 24)
    mask = torch.rand(2, 1, 16, 24, 24) < 0.2
    found = Discriminative(rival, 7)(changed, clean, mask)
    restored, logits = rival.both(changed)
    torch.testing.assert_close(found["squares"], F.mse_loss(restored, clean))
    torch.testing.assert_close(found["structure"], 1 - ssim(restored, clean, 7).mean())
    sure = torch.where(mask[:, 0], logits.softmax(1)[:, 1], logits.softmax(1)[:, 0])
    torch.testing.assert_close(found["focal"], -((1 - sure) ** 2 * sure.log()).mean())
    total = found["squares"] + found["structure"] + found["focal"]
    torch.testing.assert_close(found["loss"], total)
    assert focal_loss(logits * 0, mask[:, 0].long()).item() == pytest.approx(0.25 * np.log(2))


def test_the_marking_network_sees_the_image_and_its_restoration() -> None:
    rival = build(SETTINGS, PreprocessSettings()).eval()
    x = torch.rand(1, 1, 16, 24, 24)
    restored = rival.restoring(x)
    logits = rival.marking(torch.cat([restored, x], dim=1))
    order = rival.voxels(x).flatten().argsort()
    assert torch.equal(
        logits.softmax(1)[:, 1].double().flatten()[order].diff() >= -1e-6,
        torch.ones(len(order) - 1, dtype=torch.bool),
    )
    # Without skips nothing reaches the restoration but through the coarsest level.
    assert not rival.restoring.skips
    assert rival.marking.skips
