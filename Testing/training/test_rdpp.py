"""RD++: a frozen teacher, three losses of the projections, noise in boxes, transport of points."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, one_scan, random_features
from training.baselines.parts.reverse import whole_cosine
from training.baselines.parts.sinkhorn import divergence
from training.baselines.rdpp import (
    Distillation,
    RdppSettings,
    build,
    contrast,
    denoised,
    phases,
    transported,
    with_noise,
)
from training.data.chance import chances_of
from training.data.patches import PatchSettings
from training.data.store import Store

CPU = torch.device("cpu")


def settings_for(folder: Path) -> RdppSettings:
    """A small one."""
    return RdppSettings(
        features=random_features(folder),
        patches=PatchSettings(size=(2, 24, 24), count=2),
        width=16,
        points=6,
        smooth=0.0,
        loop=LOOP,
    )


def test_the_divergence_is_that_of_optimal_transport_where_little_is_blurred() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 3, 7, 4, generator=generator)
    found = divergence(first, second, 0.02)
    for a, b, value in zip(first.numpy(), second.numpy(), found, strict=True):
        cost = 0.5 * ((a[:, None] - b) ** 2).sum(-1)
        expected = cost[linear_sum_assignment(cost)].mean()
        assert value.item() == pytest.approx(expected, rel=0.03)
    # One point each: half the squared distance, whatever the blur.
    near, far = torch.zeros(1, 1, 3), torch.full((1, 1, 3), 0.5)
    assert divergence(near, far, 0.3).item() == pytest.approx(0.375, rel=1e-4)


def test_a_set_in_another_order_is_no_distance_away_and_the_gradient_is_the_plan() -> None:
    points = torch.rand(1, 9, 4, requires_grad=True)
    value = divergence(points, points[:, torch.randperm(9)]).sum()
    value.backward()
    assert points.grad is not None
    assert value.abs() < 1e-4
    assert points.grad.abs().max() < 1e-2
    one = torch.zeros(1, 1, 3, requires_grad=True)
    divergence(one, torch.full((1, 1, 3), 0.5), 0.3).sum().backward()
    assert one.grad is not None
    torch.testing.assert_close(one.grad, torch.full((1, 1, 3), -0.5), atol=1e-3, rtol=0)


def test_the_loss_is_its_parts_by_their_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = settings_for(tmp_path)
    rival = build(settings, PreprocessSettings())
    student = rival.student.eval()
    clean = [torch.randn(4, 24, 6, 6), torch.randn(4, 40, 3, 3)]
    noisy = [level + 0.3 * torch.randn_like(level) for level in clean]
    order, chosen = torch.randperm(4), torch.rand(6)
    found = Distillation(student, settings).eval()(order, chosen, *clean, *noisy)
    near, far = student.projected(clean), student.projected(noisy)
    total = (
        transported(near, order, chosen)
        + 0.01 * denoised(far, near)
        + 0.1 * contrast(noisy, near, -0.5)
    )
    expected = whole_cosine(clean, student.restored(near)) + 0.2 * total / 1.11
    torch.testing.assert_close(found["loss"], expected)
    pairs = [(a.flatten(1), b.flatten(1)) for a, b in zip(noisy, near, strict=True)]
    apart, together = (
        sum(F.cosine_embedding_loss(a, b, sign * torch.ones(4), -0.5) for a, b in pairs)
        for sign in (-1, 1)
    )
    torch.testing.assert_close(contrast(noisy, near, -0.5), apart)
    torch.testing.assert_close(contrast(noisy, near, None), together)


def test_only_the_student_is_trained_on_clean_and_noisy_features(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    rival = build(settings, PreprocessSettings())
    (phase,) = phases(settings, rival, Store(one_scan(tmp_path / "store")))
    names = [name for name, _ in phase.task.objective.named_parameters()]
    assert all(name.startswith("student.") for name in names)
    order, chosen, *maps = phase.task.render(phase.task.load(0), torch.device("cpu"))
    assert (len(order), len(chosen), len(maps)) == (4, 6, 4)
    assert maps[0].shape == maps[2].shape
    assert not torch.equal(maps[0], maps[2])


def test_noise_lies_in_a_small_box_of_each_slice() -> None:
    clean = torch.rand(2, 1, 3, 64, 96)
    noisy = with_noise(clean, 0.2, chances_of(0, CPU))
    for a, b in zip(clean.flatten(0, 2), noisy.flatten(0, 2), strict=True):
        rows, columns = np.nonzero((a != b).numpy())
        assert len(rows)
        assert np.ptp(rows) < 8
        assert np.ptp(columns) < 12
