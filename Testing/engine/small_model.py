"""A model of few weights, all of them random, so that nothing it holds is zero or one."""

from pathlib import Path

import numpy as np
import torch

from ctscreener.calibration import Calibration
from ctscreener.conditions import ConditionSettings
from ctscreener.density import DensitySettings
from ctscreener.flow import FlowSettings
from ctscreener.model import Model, ModelSettings, Networks, load_model, save_model
from ctscreener.networks import NetworkSettings
from Testing.engine.torso import COARSE

SETTINGS = ModelSettings(
    preprocess=COARSE,
    descriptor=NetworkSettings(channels=(8, 16), stem=(1, 2, 2), out=5),
    condition=ConditionSettings(
        sincos=1, learned=NetworkSettings(channels=(8,), stem=(2, 3, 3), out=3, inputs=2)
    ),
    density=DensitySettings(flow=FlowSettings(blocks=2, hidden=8)),
    tile=(24, 36, 36),
)
CALIBRATION = Calibration.fit(np.random.default_rng(0).normal(8, 5, 20_000))
PROVENANCE = {"data": ["none"], "steps": 0}
CARD = "# Small\n\nIts weights are random: ä.\n"


def perturb(module: torch.nn.Module, size: float, seed: int = 0) -> None:
    """Add noise of a deviation to every parameter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)


def networks(settings: ModelSettings = SETTINGS) -> Networks:
    """Networks with random weights, the same at every call."""
    made = Networks(settings)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    perturb(made, 0.2)
    return made.eval()


def save(folder: Path) -> Path:
    """Write the small model and return its folder."""
    save_model(folder, networks(), CALIBRATION, PROVENANCE, CARD)
    return folder


def small_model(folder: Path) -> Model:
    """Write the small model and load it."""
    return load_model(str(save(folder)))
