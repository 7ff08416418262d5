"""MSFlow: its log-determinants are those of its Jacobian, its fusion joins scales, its score is z."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, random_features
from training.baselines.msflow import (
    Fusion,
    Likelihood,
    MsflowSettings,
    MultiScaleFlow,
    build,
)
from training.baselines.parts.conv_flow import ConvFlow
from training.data.patches import PatchSettings


def settings_for(folder: Path) -> MsflowSettings:
    """A small one."""
    return MsflowSettings(
        features=random_features(folder),
        patches=PatchSettings(size=(4, 24, 24), count=2),
        blocks=(1, 2),
        fusion=2,
        hidden=8,
        condition=4,
        smooth=0.0,
        loop=LOOP,
    )


def shaken(module: torch.nn.Module) -> None:
    """Weights of any size: a flow begins as the identity, which proves nothing."""
    generator = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        weight.data += 0.2 * torch.randn(weight.shape, generator=generator)


@pytest.mark.parametrize("axes", [2, 3])
def test_the_log_determinant_is_that_of_the_jacobian(axes: int) -> None:
    flow = ConvFlow(axes, 4, 1, 2, 6, torch.Generator().manual_seed(0))
    shaken(flow)
    shape = (2,) * axes
    y, c = torch.randn(1, 4, *shape), torch.randn(1, 1, *shape)

    def flat(given: Tensor) -> Tensor:
        return flow(given.reshape(y.shape), c)[0].flatten()

    jacobian = torch.autograd.functional.jacobian(flat, y.flatten())
    assert isinstance(jacobian, Tensor)
    found = flow(y, c)[1].sum()
    assert found.item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-3)


@pytest.mark.parametrize("flipped", [False, True])
def test_the_fusion_moves_one_half_by_all_scales_and_knows_its_determinant(flipped: bool) -> None:
    fusion = Fusion((3, 4), 6, flipped)
    shaken(fusion)
    fine, coarse = torch.randn(1, 3, 4, 4), torch.randn(1, 4, 2, 2)
    found, log_dets = fusion([fine, coarse])
    stays = (slice(1, None), slice(2, None)) if flipped else (slice(0, 2), slice(0, 2))
    for level, moved, kept in zip((fine, coarse), found, stays, strict=True):
        assert torch.equal(moved[:, kept], level[:, kept])
    assert not torch.equal(found[0], fusion([fine, coarse + 1])[0][0])

    def flat(given: Tensor) -> Tensor:
        parts = [given[:48].reshape(fine.shape), given[48:].reshape(coarse.shape)]
        return torch.cat([level.flatten() for level in fusion(parts)[0]])

    both = torch.cat([fine.flatten(), coarse.flatten()])
    jacobian = torch.autograd.functional.jacobian(flat, both)
    assert isinstance(jacobian, Tensor)
    total = sum(float(some.detach().sum()) for some in log_dets)
    assert total == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-3)


def test_the_loss_is_the_likelihood_within_the_body_and_the_score_leaves_out_the_determinant(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path)
    rival = build(settings, PreprocessSettings())
    assert isinstance(rival.flow, MultiScaleFlow)
    shaken(rival.flow)
    x, positions = torch.rand(1, 1, 4, 24, 24), torch.rand(1, 3, 4, 24, 24)
    features, conditions = rival.batch(rival.levels(x), positions)
    inside = [torch.rand(4, *level.shape[2:]) < 0.6 for level in features]
    maps, log_dets = rival.flow(features, conditions)
    expected = [
        (0.5 * z.square().sum(1) - d)[where].mean() / z.shape[1]
        for z, d, where in zip(maps, log_dets, inside, strict=True)
    ]
    batch = [t for three in zip(features, conditions, inside, strict=True) for t in three]
    found = Likelihood(rival.flow)(*batch)["loss"]
    torch.testing.assert_close(found, (expected[0] + expected[1]) / 2)
    grid = rival.grid(x, positions, torch.ones(1, 4, 24, 24, dtype=torch.bool))
    halves = [0.5 * z.square().mean(1, keepdim=True) for z in maps]
    fine = F.interpolate(halves[1], list(halves[0].shape[2:]), mode="bilinear")
    torch.testing.assert_close(grid[0], (halves[0] + fine)[:, 0], rtol=1e-3, atol=1e-4)


def test_stages_without_blocks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 stages"):
        build(replace(settings_for(tmp_path), blocks=(1, 2, 3)), PreprocessSettings())
