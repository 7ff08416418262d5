"""Imitation: rare voxels weigh more, and how well two scores agree."""

import numpy as np
import pytest
import torch

from ctscreener.calibration import Calibration
from training.imitation import RAREST, agreement, weights_of


def test_rare_voxels_weigh_more_up_to_a_border() -> None:
    scores = np.random.default_rng(0).exponential(size=100_000)
    scale = Calibration.fit(scores)
    nll = torch.tensor([float(np.quantile(scores, q)) for q in (0.5, 0.9, 0.99, 0.999)])
    torch.testing.assert_close(
        weights_of(nll, scale, 0.5), torch.tensor([2, 10, 100, 1000]) ** 0.5, rtol=0.05, atol=0
    )
    assert torch.equal(weights_of(nll, scale, 0.0), torch.ones(4))
    assert weights_of(torch.tensor([1e6]), scale, 0.5).item() == pytest.approx(10 ** (RAREST / 2))
    assert weights_of(torch.tensor([float("nan")]), scale, 0.5).isnan()


def test_agreement_is_that_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=20_000)
    assert agreement(teacher, np.exp(teacher))["spearman"] == pytest.approx(1)
    assert agreement(teacher, np.exp(teacher))["top"] == 1
    assert agreement(teacher, 3 * teacher - 2)["pearson"] == pytest.approx(1)
    chance = agreement(teacher, rng.normal(size=20_000))
    assert abs(chance["spearman"]) < 0.05
    assert chance["top"] <= 0.1
    # Ten of the twenty rarest voxels are pushed out.
    spoilt = teacher.copy()
    spoilt[np.argsort(teacher)[-10:]] = -9
    assert agreement(teacher, spoilt)["top"] == 0.5
