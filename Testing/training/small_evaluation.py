"""An evaluation of a model that has learnt nothing, on four small scans."""

import json
from pathlib import Path

import numpy as np
import torch

from ctscreener.calibration import Calibration
from ctscreener.density import DensitySettings
from ctscreener.files import read_scan, write_map
from ctscreener.model import ModelSettings, Networks, load_model, save_model
from ctscreener.networks import NetworkSettings
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import CANONICAL
from ctscreener.screening import screen
from training.evaluate import EvaluateSettings, main

SHAPE = (16, 40, 44)

AFFINE = np.eye(4)

AFFINE[:3, :3] = CANONICAL.T * (8.0, 3.5, 3.5)


def write_case(folder: Path, name: str, rng: np.random.Generator, labels: tuple[int, ...]) -> None:
    """A body of noisy tissue with one dense block for each label."""
    hu = np.full(SHAPE, -1000.0)
    hu[:, 8:-8, 8:-8] = rng.normal(20, 15, (16, 24, 28))
    mask = np.zeros(SHAPE)
    for label in labels:
        d, h, w = rng.integers((2, 12, 12), (12, 26, 30))
        hu[d : d + 3, h : h + 3, w : w + 3] += 150
        mask[d : d + 3, h : h + 3, w : w + 3] = label
    folder.mkdir(exist_ok=True)
    write_map(folder / f"{name}.nii.gz", hu, AFFINE)
    if labels:
        write_map(folder / f"{name}_lesion.nii.gz", mask, AFFINE)


def untrained_model(folder: Path, rng: np.random.Generator) -> Path:
    """Write a small model that has learnt nothing."""
    settings = ModelSettings(
        preprocess=PreprocessSettings(spacing=(8.0, 3.5, 3.5)),
        descriptor=NetworkSettings(channels=(8, 16), out=4),
        density=DensitySettings(head="gaussian"),
        tile=(8, 24, 24),
    )
    torch.manual_seed(0)
    save_model(folder, Networks(settings), Calibration.fit(rng.gamma(2, 2, 500)), {}, "")
    return folder


def four_scans(folder: Path, rng: np.random.Generator) -> Path:
    """Write three scans with masks and one without."""
    for name, labels in {"a": (1,), "b": (2, 1), "c": (2,), "healthy": ()}.items():
        write_case(folder, name, rng, labels)
    return folder


def small_settings(out: Path, model: Path, scans: Path) -> EvaluateSettings:
    """Measure a model and both trivial scores on a folder."""
    scores = (f"model:{model}", "gradient", "random")
    return EvaluateSettings(sets=(scans,), scores=scores, out=out, device="cpu", resamples=20)


def screened(settings: EvaluateSettings, path: Path) -> np.ndarray:
    """The rarities of a scan by the model that settings name."""
    model = load_model(settings.scores[0].removeprefix("model:"))
    return screen(read_scan(path), model).rarity


def results_of(settings: EvaluateSettings) -> dict:
    main(settings)
    return json.loads((settings.out / "results.json").read_text())
