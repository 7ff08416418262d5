"""A small teacher, and a short distillation of it."""

from pathlib import Path

import numpy as np
import torch

from ctscreener.calibration import Calibration
from ctscreener.density import DensitySettings as HeadSettings
from ctscreener.model import ModelSettings, Networks, save_model
from ctscreener.networks import NetworkSettings
from ctscreener.student import StudentSettings
from training.distil import DistilSettings
from training.loop.loop import LoopSettings

TILE = (16, 24, 24)
PROVENANCE = {
    "stages": {
        "descriptor": {
            "settings": {},
            "result": {"step": 7, "seconds": 36},
            "data": [{"name": "before", "sha256": "f" * 64}],
        }
    }
}


def write_teacher(folder: Path) -> None:
    """A model that finds grey values rare that lie far from the middle of the store's."""
    settings = ModelSettings(
        descriptor=NetworkSettings(channels=(8,), out=2),
        density=HeadSettings(head="gaussian"),
        tile=TILE,
        smooth=3.0,
    )
    networks = Networks(settings)
    with torch.no_grad():
        for name, weight in networks.descriptor.named_parameters():
            # Residual blocks add nothing: what remains is a mean of the voxels around.
            weight.zero_()
            if name == "stem.weight":
                weight[:2] = 1 / weight[0].numel()
            if name == "heads.0.weight":
                weight[0, 0] = weight[1, 1] = 1
    networks.density.y_mean.fill_(0.5)
    networks.density.y_std.fill_(0.1)
    calibration = Calibration.fit(np.random.default_rng(0).gamma(2, 2, 500))
    save_model(folder, networks, calibration, PROVENANCE, "# Teacher\n")


def settings_for(folder: Path, name: str, steps: int) -> DistilSettings:
    """A short distillation."""
    return DistilSettings(
        store=folder / "store",
        run=folder / name,
        model=str(folder / "teacher"),
        student=StudentSettings(NetworkSettings(channels=(8, 16), out=8, inputs=9), 1, ()),
        held_out=("e",),
        tiles=28,
        block=(8, 8, 8),
        loop=LoopSettings(
            steps=steps,
            lr=5e-3,
            warmup=2,
            precision="32-true",
            device="cpu",
            log_every=1,
            average=0.9,
            watch_every=100,
        ),
    )
