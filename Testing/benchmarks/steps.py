"""Benchmark of two versions of the code, side by side: what a step of a training costs.

    git worktree add ../before a06f1fd
    python Testing/benchmarks/steps.py --before ../before [--steps 12] [--rounds 2]

For each stage, on made-up scans, in sizes of the preset `tiny`; `tune` has none: there it is crops
of 16 x 32 x 32, and an encoder of the public one's sizes. Of the rivals DRAEM stands for those on
crops, CFLOW and AE-FLOW for those on features of a network for photographs, here of random weights:

- seconds of a step, and seconds of the processor, of the whole loop: loading, cutting, networks,
  optimiser, running average, journal. Both versions go in turns, and the best round counts;
- copies from the host to a card in a step, and whether a step waits for it, counted on torch's meta
  device: a card without values, on which whatever needs one fails.

Without `--before` this version is measured alone. No card is needed, and no time of one is told.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RIVALS = ("draem", "cflow", "ae_flow")
STAGES = ("descriptor", "condition", "ape", "density", "tune", "distil", *RIVALS)


def main() -> None:
    """Measure both versions and print a table."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--before", type=Path, help="another checkout")
    flags.add_argument("--steps", type=int, default=12)
    flags.add_argument("--rounds", type=int, default=2)
    flags.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    flags.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = flags.parse_args()
    if options.child:
        print(json.dumps(child(options.child.resolve(), options)))
        return
    trees = {"after": ROOT} | ({"before": options.before.resolve()} if options.before else {})
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for _ in range(options.rounds):
        for name, tree in trees.items():
            found[name].append(asked(tree, options))
    show(found, options)


def asked(tree: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What a checkout measures, in a process of its own."""
    words = ["--child", str(tree), "--steps", str(options.steps), "--stages", *options.stages]
    done = subprocess.run(
        [sys.executable, __file__, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'ScreenerSlicer'}"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def show(found: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    """Print one table: the best round of each."""
    names = [name for name in ("before", "after") if name in found]
    heads = [f"{what}: {name}" for what in ("s a step", "CPU s", "copies") for name in names]
    print(f"| stage | {' | '.join([*heads, 'times (CPU)'])} |")
    print("|---" * (len(heads) + 2) + "|")
    for stage in options.stages:
        best = {
            name: {what: min(one[stage][what] for one in found[name]) for what in ("wall", "cpu")}
            for name in names
        }
        cells = [f"{best[name]['wall']:.3f}" for name in names]
        cells += [f"{best[name]['cpu']:.3f}" for name in names]
        cells += [str(found[name][0][stage]["copies"]) for name in names]
        ratio = best[names[0]]["cpu"] / best[names[-1]]["cpu"]
        print(f"| {stage} | {' | '.join(cells)} | {ratio:.2f} |")


def child(tree: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the stages of a checkout, whose code is found first."""
    sys.path[:0] = [str(tree), str(tree / "ScreenerSlicer")]
    import torch

    from Testing.benchmarks import training as benchmark
    from training.loop.loop import train

    torch.set_num_threads(2)
    found = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        work = Path(folder)
        store = benchmark.made_up(work / "store", "tiny")
        for stage in options.stages:
            task, loop = task_of(benchmark, stage, store, work)
            loop = replace(loop, precision="32-true", device="cpu", workers=1)
            # Sessions begin, and the first step of each is slow: the difference of two counts.
            few, many = (
                seconds_of(train, task, work / f"{stage}_{steps}", replace(loop, steps=steps))
                for steps in (2, 2 + options.steps)
            )
            wall, cpu = ((b - a) / options.steps for a, b in zip(few, many, strict=True))
            found[stage] = {"wall": wall, "cpu": cpu, "copies": copies_of(task)}
    return found


def task_of(benchmark: Any, stage: str, store: Path, work: Path) -> tuple[Any, Any]:  # noqa: ANN401
    """The task of a stage and its loop, caught where its training would begin."""
    if stage in RIVALS:
        return rival_task(stage, store, work)
    if stage == "tune":
        return tune_task(work)
    if stage == "distil":
        return distil_task(benchmark, store, work)
    module, table = benchmark.STAGES[stage]
    settings = replace(table["tiny"], store=store, run=work / stage)
    settings = replace(settings, loop=replace(settings.loop, precision="32-true"))
    if stage == "density":
        runs = {
            part: benchmark.untrained(work / part, presets["tiny"].network)
            for part, presets in (
                ("descriptor", benchmark.presets.DESCRIPTOR),
                ("condition", benchmark.presets.CONDITION),
            )
        }
        settings = replace(settings, tiles=8, **runs)
    return caught_at(benchmark.TRAINS[stage], lambda: module.main(settings)), settings.loop


def tune_task(work: Path) -> tuple[Any, Any]:
    """The task of tuning an encoder."""
    from Testing.training.plain_store import make_plain_store
    from training import tune
    from training.data.crops import CropSettings
    from training.loop.schedule import LoopSettings

    make_plain_store(work / "plain", {"a": 1, "b": 2, "c": 3})
    crops = CropSettings(size=(16, 32, 32), pairs=4, positions=1024)
    loop = LoopSettings(precision="32-true")
    settings = tune.TuneSettings(work / "plain", work / "tune", crops=crops, loop=loop)
    return caught_at(tune, lambda: tune.main(settings)), loop


def distil_task(benchmark: Any, store: Path, work: Path) -> tuple[Any, Any]:  # noqa: ANN401
    """The task of the distillation, of a teacher of random weights."""
    import numpy as np

    from ctscreener.calibration import Calibration
    from ctscreener.model import ModelSettings, Networks, save_model
    from training import distil

    network = benchmark.presets.DESCRIPTOR["tiny"].network
    teacher = Networks(
        ModelSettings(descriptor=network, tile=benchmark.presets.DENSITY["tiny"].tile)
    )
    scale = Calibration.fit(np.random.default_rng(0).gamma(2, 2, 500))
    save_model(work / "teacher", teacher, scale, {"stages": {}}, "# Teacher\n")
    settings = benchmark.presets.DISTIL["tiny"]
    loop = replace(settings.loop, precision="32-true")
    settings = replace(settings, store=store, run=work / "distil", tiles=4, loop=loop)
    settings = replace(settings, model=str(work / "teacher"))
    return caught_at(distil, lambda: distil.main(settings)), loop


def rival_task(name: str, store: Path, work: Path) -> tuple[Any, Any]:
    """The task of a rival's first phase."""
    from Testing.training.rivals import random_features
    from training.baselines import stage
    from training.baselines.method import RunSettings

    settings = stage.METHODS[name].preset("tiny")
    loop = replace(settings.loop, precision="32-true")
    settings = replace(settings, data=RunSettings(store, work / name), loop=loop)
    if hasattr(settings, "features"):
        features = replace(settings.features, features=random_features(work).features)
        settings = replace(settings, features=features)
    return caught_at(stage, lambda: stage.main(name, settings)), loop


def caught_at(place: Any, run: Callable[[], object]) -> Any:  # noqa: ANN401
    """The task that a stage would train, by the module whose `train` it calls."""
    caught = []

    def stop(task: object, *others: object) -> None:
        caught.append(task)
        raise KeyboardInterrupt

    real, place.train = place.train, stop
    try:
        with contextlib.suppress(KeyboardInterrupt):
            run()
    finally:
        place.train = real
    return caught[0]


def seconds_of(train: Any, task: Any, run: Path, loop: Any) -> tuple[float, float]:  # noqa: ANN401
    """Seconds, and seconds of the processor, of a training."""
    wall, cpu = time.perf_counter(), time.process_time()
    train(task, run, loop, run.name)
    return time.perf_counter() - wall, time.process_time() - cpu


def copies_of(task: Any) -> str:  # noqa: ANN401 - of any version
    """Copies from the host to a card in a step, and whether it has to wait."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    card, copies = torch.device("meta"), []

    class Traffic(TorchDispatchMode):
        def __torch_dispatch__(  # noqa: ANN204 - anything that torch computes
            self,
            func: Callable,
            types: object,
            args: tuple = (),
            kwargs: dict | None = None,
        ):
            out = func(*args, **(kwargs or {}))
            made = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
            given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
            if any(t.device == card for t in (*made, *given)):
                copies.extend(t for t in given if t.device != card and t.ndim)
            return out

    generator, autocast = torch.Generator, torch.autocast

    class OnCard(generator):
        device = card

    def made(device: object = "cpu") -> torch.Generator:
        return OnCard() if torch.device(str(device)) == card else generator()

    first, raw = task.load(0), task.load(1)
    task.objective.to(card)
    torch.Generator = made  # pyright: ignore[reportAttributeAccessIssue]
    torch.autocast = lambda *a, **k: contextlib.nullcontext()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        # What a first step sets up for good, such as frozen networks, is none of a step.
        with contextlib.suppress(RuntimeError, NotImplementedError):
            task.objective(*task.render(first, card))
        with Traffic():
            task.objective(*task.render(raw, card))["loss"].backward()
    except RuntimeError as error:
        # What needs a value, such as `.item()` or a mask turned into indices; all else is a fault.
        if "meta" not in str(error) and not isinstance(error, NotImplementedError):
            raise
        return f"{len(copies)}, then it waits"
    finally:
        torch.Generator, torch.autocast = generator, autocast  # pyright: ignore[reportAttributeAccessIssue]
    return str(len(copies))


if __name__ == "__main__":
    main()
