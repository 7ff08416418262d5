"""What is killed: every stage that writes files, on inputs made up to take seconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

LOOP = ["--preset", "tiny", "--device", "cpu", "--steps", "8", "--warmup", "2", "--log-every", "1"]
LOOP += ["--checkpoint-seconds", "0.05", "--precision", "32-true", "--workers", "2"]
CROPS = ["--crops.size", "8", "12", "12", "--crops.positions", "64", "--crops.pairs", "2"]
CONTRAST = ["--network.channels", "8", "16", "--contrast.width", "16"]
HEAD = ["--tile", "16", "24", "24", "--tiles", "12", "--block", "8", "8", "8", "--voxels", "64"]


@dataclass(frozen=True)
class Stage:
    """A command that goes on where it was stopped.

    Arguments:
        name: What it is called.
        arguments: Its command line, made of the folder of inputs and the folder to write into.
        needs: Stages whose results are among the inputs.
    """

    name: str
    arguments: Callable[[Path, Path], list[str]]
    needs: tuple[str, ...] = ()

    def __call__(self, data: Path, work: Path) -> int:
        """Run the command in this process; its exit status."""
        words = self.arguments(data, work)
        if words[0] == "screen":
            from ctscreener.command import main
        else:
            from training.run import main
        return main(words)


def _loop(stage: str, *more: str) -> Callable[[Path, Path], list[str]]:
    return lambda data, work: [
        stage, *LOOP, "--store", str(data / "store"), "--run", str(work / "run"), *more
    ]  # fmt: skip


def _density(data: Path, work: Path) -> list[str]:
    runs = ["--descriptor", str(data / "descriptor" / "run")]
    runs += ["--condition", str(data / "condition" / "run"), "--held-out", "b"]
    return [*_loop("density", *HEAD)(data, work), *runs]


def _distil(data: Path, work: Path) -> list[str]:
    sizes = ["--student.network.channels", "8", "16", "--student.network.inputs", "5"]
    sizes += ["--student.sincos", "0", "--student.surround", "--tiles", "12", "--block"]
    return [*_loop("distil", "--model", str(data / "model"), *sizes)(data, work), "8", "8", "8"]


def _evaluate(data: Path, work: Path) -> list[str]:
    places = ["--sets", str(data / "cases")]
    places += ["--scores", f"model:{data / 'coarse'}", "gradient", "random"]
    return ["evaluate", *places, "--out", str(work / "out"), "--device", "cpu", "--resamples", "9"]


def _export(data: Path, work: Path) -> list[str]:
    places = ["--store", str(data / "store"), "--density", str(data / "density" / "run")]
    return ["export", *places, "--out", str(work / "model")]


def _screen(data: Path, work: Path) -> list[str]:
    scans = [str(path) for path in sorted((data / "cases").glob("?.nii.gz"))]
    fixed = ["--model", str(data / "coarse"), "--device", "cpu", "--threshold", "1"]
    return ["screen", *scans, "--out", str(work / "out"), *fixed]


STAGES: Sequence[Stage] = (
    Stage("screen", _screen),
    Stage(
        "phantoms",
        lambda _, work: ["phantoms", "--out", str(work), "--count", "2", "--coarsen", "4"],
    ),
    Stage(
        "prepare",
        lambda data, work: ["prepare", str(data / "cases"), "--store", str(work), "--workers=1"],
    ),
    Stage("descriptor", _loop("descriptor", *CROPS, *CONTRAST)),
    Stage("condition", _loop("condition", *CROPS, *CONTRAST)),
    Stage("ape", _loop("ape", "--crops.size", "8", "16", "16", "--network.channels", "8", "16")),
    Stage("density", _density, ("descriptor", "condition")),
    Stage("distil", _distil),
    Stage("export", _export, ("descriptor", "condition", "density")),
    Stage("evaluate", _evaluate),
)
"""In an order in which each finds what it needs."""


def make_inputs(data: Path) -> None:
    """Make a store, a model, and scans with masks.

    Arguments:
        data: The folder that takes them.
    """
    import numpy as np
    import torch

    from ctscreener.calibration import Calibration
    from ctscreener.density import DensitySettings
    from ctscreener.model import ModelSettings, Networks, save_model
    from ctscreener.networks import NetworkSettings
    from ctscreener.preprocess import PreprocessSettings
    from Testing.training.small_store import make_store
    from Testing.training.test_evaluate import write_case

    rng = np.random.default_rng(0)
    make_store(data / "store", {"a": (24, 30, 30), "b": (20, 30, 36), "c": (20, 30, 30)})
    for name, labels in {"a": (1,), "b": (2, 1), "c": (1,)}.items():
        write_case(data / "cases", name, rng, labels)
    settings = ModelSettings(
        descriptor=NetworkSettings(channels=(8, 16), out=4),
        density=DensitySettings(head="gaussian"),
        tile=(16, 24, 24),
    )
    coarse = replace(settings, preprocess=PreprocessSettings(spacing=(8.0, 3.5, 3.5)))
    coarse = replace(coarse, tile=(8, 24, 24))
    scale = Calibration.fit(rng.gamma(2, 2, 500))
    for name, some in {"model": settings, "coarse": coarse}.items():
        torch.manual_seed(0)
        save_model(data / name, Networks(some), scale, {}, "# Tiny\n")
