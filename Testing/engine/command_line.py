"""The command line on a real but tiny model and scan, in this process and in another."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

import ctscreener
from ctscreener.calibration import Calibration
from ctscreener.command import main
from ctscreener.density import DensitySettings
from ctscreener.encoded import Elsewhere, Encoded, EncodedSettings
from ctscreener.encoder import EncoderSettings
from ctscreener.files import write_map
from ctscreener.heads import GaussianSettings, HeadSettings, Source
from ctscreener.model import ModelSettings, Networks, save_model
from ctscreener.networks import NetworkSettings

ENGINE = str(Path(ctscreener.__file__).parent.parent)

FILES = ["anomaly.nrrd", "findings.csv", "findings.json", "overview.png", "parts.nrrd"]


def scan_and_model(folder: Path) -> Path:
    """Fill a folder with `scan.nrrd`, a cylinder of soft tissue in air, and `model/`."""
    random = np.random.default_rng(0)
    height, width = np.mgrid[:56, :56] - 28.0
    slice_hu = np.where(height**2 + width**2 < 20**2, 40.0, -1000.0)
    hu = slice_hu + random.normal(0, 10, (24, 56, 56))
    hu[10:14, 26:32, 26:32] = 900.0
    affine = np.array([[0, 0, -3, 84], [0, -3, 0, 84], [4, 0, 0, -48], [0, 0, 0, 1]], float)
    write_map(folder / "scan.nrrd", hu.astype(np.float32), affine)
    settings = ModelSettings(
        descriptor=NetworkSettings(channels=(8,), out=4),
        density=DensitySettings(head="gaussian"),
        tile=(16, 48, 48),
    )
    # A Gaussian's -log p in four dimensions is above 3.6: rare by this scale, whatever the weights.
    calibration = Calibration.fit(random.normal(0, 1, 100_000))
    provenance = {"results": {"auroc": 0.75}, "data": [{"name": "a"}, {"name": "b"}]}
    save_model(folder / "model", Networks(settings), calibration, provenance, "# Tiny\n\nLimits.")
    return folder


def screen(data: Path, out: Path, *more: str, scans: list[Path] | None = None) -> int:
    names = [str(scan) for scan in scans or [data / "scan.nrrd"]]
    fixed = ["--out", str(out), "--model", str(data / "model"), "--device", "cpu"]
    return main(["screen", *names, *fixed, *more])


def run(*arguments: str, script: str = "") -> "subprocess.CompletedProcess[str]":
    start = ["-c", script] if script else ["-m", "ctscreener"]
    command = [sys.executable, *start, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(), check=False, timeout=120
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ENGINE, "OMP_NUM_THREADS": "1"}


def whole_model(folder: Path, elsewhere: Elsewhere | None = None) -> Path:
    """A model that sees the whole scan, of random weights."""
    torch.manual_seed(0)
    settings = EncodedSettings(
        encoder=EncoderSettings(widths=(2,), bottlenecks=(1,)),
        discriminator=HeadSettings(sources=(Source(0),), hidden=4),
        density=GaussianSettings(sources=(Source(0),), components=2),
        elsewhere=elsewhere,
    )
    calibration = Calibration.fit(np.random.default_rng(0).normal(0, 1, 100_000))
    save_model(folder, Encoded(settings), calibration, {}, "# Whole\n")
    return folder


def threshold_of_many(out: Path) -> str:
    """A threshold above which a tenth of a result's voxels lie, in some ten pieces or more."""
    rarity = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "anomaly.nrrd")))
    return f"{np.nanpercentile(rarity, 90):.6f}"
