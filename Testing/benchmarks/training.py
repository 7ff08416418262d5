"""Benchmark of training: steps a second and where the time goes, for each stage of a preset.

    python Testing/benchmarks/training.py [--preset paper] [--stages descriptor density] [--steps 30]

Each stage builds what it builds for a real training; its loop is then replaced by a stopwatch:

- `read` (the host), `augment`, `networks`, `loss` (head and objective), `backward` and `optimiser`
  (clipping, AdamW, running average), each waited for, in ms a step;
- steps a second of the loop as it runs, with batches loaded in the background;
- batches a second of the loader alone, beside what the networks consume;
- the most memory held, and floating-point operations of a step, forward and backward, counted by
  torch; on a graphics card also their share of what it reaches in a plain product of matrices.

`--memory` prints instead what a step of each preset holds, counted on tensors without values;
`--loader` what the loader delivers, which needs no card.

Without `--store`, scans are made up of smooth noise, of a size that a chest has on the grid that
the preset's crops are cut from. Ready for a card with one command; on a processor use `tiny`.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]

from ctscreener.conditions import ConditionSettings
from ctscreener.density import Density
from ctscreener.model import ModelSettings
from ctscreener.networks import NetworkSettings, UNet
from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import to_json, write_json
from Testing.benchmarks.live_memory import step_bytes
from Testing.benchmarks.stopwatch import PARTS, delivered, timed
from training import ape, condition, contrastive, density, descriptor, likelihood, presets
from training.data.arrays import write_array
from training.data.store import FINE, StoredScan, write_manifest
from training.loop.compiling import products
from training.loop.task import Task

STAGES = {
    "descriptor": (descriptor, presets.DESCRIPTOR),
    "condition": (condition, presets.CONDITION),
    "ape": (ape, presets.APE),
    "density": (density, presets.DENSITY),
}
TRAINS = {
    "descriptor": contrastive,
    "condition": contrastive,
    "ape": contrastive,
    "density": density,
}
"""The module of which each stage calls `train`."""
BODY_MM = (360.0, 330.0, 400.0)
GIB = 2**30
TILES = 8
"""Tiles that the density is timed on; a step costs the same whatever their number."""


class Measured(Exception):
    """Ends a stage where its training would begin.

    Arguments:
        result: What was measured.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__()
        self.result = result


def main() -> None:
    """Measure the stages and print a table."""
    options = parser().parse_args()
    if options.memory:
        show_memory()
        return
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        store = options.store or made_up(work / "store", options.preset)
        results = {}
        for name in options.stages:
            results[name] = measure(name, options, store, work)
            print(f"{name}: done", file=sys.stderr, flush=True)
    if options.loader:
        for name, found in results.items():
            print(f"`{options.preset}`, {name}: {found['loader']:.1f} batches a second")
        return
    show(results, options)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--preset", default="tiny", choices=("tiny", "small", "paper"))
    flags.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    flags.add_argument("--steps", type=int, default=10, help="steps that are timed")
    flags.add_argument("--store", type=Path, help="a store in place of made-up scans")
    flags.add_argument("--threads", type=int, default=torch.get_num_threads())
    flags.add_argument("--workers", type=int, help="threads that load, in place of the preset's")
    flags.add_argument("--pairs", type=int, help="pairs of crops, in place of the preset's")
    flags.add_argument("--memory", action="store_true", help="predicted memory of every preset")
    flags.add_argument("--loader", action="store_true", help="the loader alone")
    flags.add_argument("--compile", action="store_true", help="with torch.compile")
    return flags


def show_memory() -> None:
    """Print what a step of each preset is predicted to hold."""
    print("| preset | " + " | ".join(f"{stage} GiB" for stage in STAGES) + " |")
    print("|---" * (1 + len(STAGES)) + "|")
    for preset in presets.DESCRIPTOR:
        cells = [f"{predicted(stage, preset) / GIB:.1f}" for stage in STAGES]
        print(f"| `{preset}` | {' | '.join(cells)} |", flush=True)


def predicted(stage: str, preset: str) -> float:
    """Bytes that a step of a stage holds."""
    settings = STAGES[stage][1][preset]
    reduced = settings.loop.precision == "bf16-mixed"
    if stage == "density":
        # A straight line in the voxels, as each is a row for itself.
        few, more = (density_bytes(settings, preset, rows, reduced) for rows in (1024, 2048))
        return few + (more - few) * (settings.voxels - 1024) / 1024
    crops, each = settings.crops, settings.crops.positions // settings.crops.pairs

    def objective() -> nn.Module:
        if stage == "ape":
            return ape.Positions(settings)
        return descriptor.Contrast(settings.network, settings.contrast)

    def batch() -> tuple[torch.Tensor, ...]:
        images = torch.rand(2 * crops.pairs, settings.network.inputs, *crops.size)
        places = torch.rand(2 * crops.pairs, each, 3)
        return (images, places, places[: crops.pairs]) if stage == "ape" else (images, places)

    return step_bytes(objective, batch, reduced)


def density_bytes(
    settings: density.DensityStageSettings, preset: str, rows: int, reduced: bool
) -> float:
    """Bytes that a step of the density over so many voxels holds."""
    known = ConditionSettings(settings.sincos, presets.CONDITION[preset].network)
    model = ModelSettings(
        descriptor=presets.DESCRIPTOR[preset].network, condition=known, density=settings.head
    )
    channels = known.channels(model.descriptor.out)

    def batch() -> tuple[torch.Tensor, ...]:
        y = torch.rand(1, model.descriptor.out, 16, 16, rows // 256)
        where = torch.ones(1, 16, 16, rows // 256, dtype=torch.bool)
        return y, torch.rand(1, channels, 16, 16, rows // 256), where

    def objective() -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        networks = nn.Module()
        networks.density = Density(model.descriptor.out, channels, settings.head, generator)
        return likelihood.Likelihood(networks)  # pyright: ignore[reportArgumentType]

    return step_bytes(objective, batch, reduced, fake=False)


def made_up(folder: Path, preset: str) -> Path:
    """Write a store of four scans of smooth noise, with a finer copy where the preset has one."""
    fine = presets.FINE_SPACING[preset]
    for place, spacing in ((folder, PreprocessSettings().spacing), (folder / FINE, fine)):
        if spacing is None:
            continue
        place.mkdir(parents=True)
        affine = np.eye(4)
        affine[:3, :3] = np.array([[0, 0, -1.0], [0, -1.0, 0], [1.0, 0, 0]]) * spacing
        shape = [round(mm / step / 6) * 6 for mm, step in zip(BODY_MM, spacing, strict=True)]
        scans = []
        for seed in range(4):
            rng = np.random.default_rng(seed)
            coarse = rng.integers(0, 200, [-(-n // 6) for n in shape], dtype=np.uint8)
            image = coarse.repeat(6, 0).repeat(6, 1).repeat(6, 2)
            image += rng.integers(0, 56, image.shape, dtype=np.uint8)
            write_array(place / f"s{seed}.image.b2nd", image)
            write_array(place / f"s{seed}.body.b2nd", np.ones(shape, np.uint8))
            depth, height, width = shape
            scans.append(StoredScan(f"s{seed}", (depth, height, width), affine, "made up", ""))
        settings = replace(PreprocessSettings(), spacing=spacing)
        write_manifest(place, to_json(settings), scans, [])
    return folder


def measure(name: str, options: argparse.Namespace, store: Path, work: Path) -> dict[str, Any]:
    """Run a stage up to its training, and time that instead."""
    stage, table = STAGES[name]
    settings = table[options.preset]
    loop = replace(settings.loop, compile=options.compile)
    if options.loader:
        # No network runs, so what a processor computes wrongly does not matter.
        loop = replace(loop, precision="32-true")
    if options.workers:
        loop = replace(loop, workers=options.workers)
    settings = replace(settings, store=store, run=work / name, loop=loop)
    if options.pairs and name != "density":
        each = settings.crops.positions // settings.crops.pairs
        crops = replace(settings.crops, pairs=options.pairs, positions=each * options.pairs)
        settings = replace(settings, crops=crops)
    if name == "density":
        runs = {
            part: untrained(work / f"untrained_{part}", presets_of[options.preset].network)
            for part, presets_of in (
                ("descriptor", presets.DESCRIPTOR),
                ("condition", presets.CONDITION),
            )
        }
        settings = replace(settings, tiles=TILES, **runs)

    def stopwatch(task: Task[Any], *others: object) -> None:
        if options.loader:
            raise Measured({"loader": delivered(task.load, loop.workers, 2 * options.steps)})
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with products(device, loop.tf32):
            raise Measured(timed(task.objective, task.load, task.render, loop, options.steps))

    place = TRAINS[name]
    real, place.train = place.train, stopwatch  # pyright: ignore[reportAttributeAccessIssue]
    try:
        stage.main(settings)
    except Measured as measured:
        return measured.result
    finally:
        place.train = real  # pyright: ignore[reportAttributeAccessIssue]
    raise AssertionError("the stage trained nothing")


def untrained(run: Path, network: NetworkSettings) -> Path:
    """A run folder of a network with random weights."""
    write_json(run / "settings.json", {"network": to_json(network)})
    save_file(UNet(network).state_dict(), run / "network.safetensors")
    return run


def show(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Print one table."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    where = card or f"{os.cpu_count()} CPU cores, {options.threads} threads"
    compiled = ", compiled" if options.compile else ""
    print(f"Preset `{options.preset}` on {where}, torch {torch.__version__}{compiled}\n")
    heads = ["stage", "steps/s", *(f"{part} ms" for part in PARTS)]
    heads += ["loader/s", "loader / networks", "peak GiB", "TFLOP a step", "share of ceiling"]
    print(f"| {' | '.join(heads)} |")
    print("|" + "---|" * len(heads))
    for name, found in results.items():
        cells = [name, f"{found['rate']:.2f}"]
        cells += [f"{1000 * found['parts'][part]:.0f}" for part in PARTS]
        cells += [f"{found['loader']:.2f}", f"{found['loader'] / found['consumed']:.1f}"]
        cells += [f"{found['peak'] / GIB:.1f}", f"{found['flops'] / 1e12:.3f}"]
        speed = found["flops"] * found["rate"]
        cells.append(f"{speed / found['ceiling']:.0%}" if found["ceiling"] else "-")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
