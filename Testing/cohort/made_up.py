"""A cohort made in code: small CTs, a model of few weights, and work that does what it should not."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ctscreener.calibration import Calibration
from ctscreener.density import DensitySettings
from ctscreener.errors import InputError
from ctscreener.files import write_map
from ctscreener.model import ModelSettings, Networks
from ctscreener.model_writing import save_model
from ctscreener.networks import NetworkSettings
from ctscreener.preprocess import PreprocessSettings

SHAPE = (16, 48, 48)
AFFINE = np.array([[0, 0, -3, 72], [0, -3, 0, 72], [6, 0, 0, -48], [0, 0, 0, 1]], float)
"""Voxels of 6 by 3 by 3 mm."""


def make_scan(path: Path, seed: int) -> Path:
    """Write a cylinder of soft tissue in air, with something bright in it."""
    random = np.random.default_rng(seed)
    height, width = np.mgrid[:48, :48] - 24.0
    body = np.where(height**2 + (width * random.uniform(0.8, 1.2)) ** 2 < 18**2, 40.0, -1000.0)
    hu = body + random.normal(0, 10, SHAPE)
    d, h, w = (int(at) for at in random.integers((4, 18, 18), (12, 28, 28)))
    hu[d : d + 2, h : h + 3, w : w + 3] = 900.0
    path.parent.mkdir(parents=True, exist_ok=True)
    write_map(path, np.rint(hu).astype(np.float32), AFFINE)
    return path


def make_scans(folder: Path, count: int) -> Path:
    """Write so many of them."""
    for seed in range(count):
        make_scan(folder / f"s{seed:03}.nrrd", seed)
    return folder


def make_model(folder: Path, seed: int = 0) -> Path:
    """Write a model with random weights, by which everything is rare."""
    settings = ModelSettings(
        preprocess=PreprocessSettings(spacing=(6.0, 3.0, 3.0)),
        descriptor=NetworkSettings(channels=(8,), out=4),
        density=DensitySettings(head="gaussian"),
        tile=(16, 24, 24),
    )
    torch.manual_seed(seed)
    scale = Calibration.fit(np.random.default_rng(seed).normal(0, 1, 100_000))
    save_model(folder, Networks(settings), scale, {}, "# Tiny\n")
    return folder


@dataclass(frozen=True)
class Doing:
    """What becomes of an item: `kill`, `hang`, `refuse`, `fail`, `full`, `slow`, or else doubled.

    Arguments:
        notes: A file for each time that work began.
    """

    notes: Path

    def __call__(self, item: tuple[str, int]) -> int:
        """Do it."""
        what, value = item
        (self.notes / f"{what}-{value}-{time.monotonic_ns()}").touch()
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "fail":
            raise ZeroDivisionError("surprise")
        if what in ("refuse", "full"):
            code = {"refuse": "scan.missing", "full": "output.disk_full"}[what]
            raise InputError(code, "Expected one, found none.", "Look.")
        if what == "hang":
            time.sleep(600)
        if what == "slow":
            time.sleep(0.3)
        return 2 * value
