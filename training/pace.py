"""The stage that tells how fast trainings went, and what the paper's full one would take so."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ctscreener.density import Density
from ctscreener.errors import InputError
from ctscreener.settings import read_json, write_json
from ctscreener.whole_file import write_text
from training.loop import processes
from training.loop.flop import PACE
from training.loop.loop import LoopSettings
from training.presets import CONDITION, DENSITY, DESCRIPTOR

SIDE = 8192
"""Side of the matrices whose product is the ceiling."""
AUTHORS = {"descriptor": 1.16, "condition": 1.16, "density": 1.93}
"""Steps a second of the authors on one H100: 300,000 in three days, 500,000 in three."""
SETTLED = 0.1
"""Share of the first steps that is not timed: the loader fills, a card tries its ways."""


@dataclass(frozen=True)
class PaceSettings:
    """Tell steps a second, share of the ceiling and seconds of finished or running trainings."""

    runs: tuple[Path, ...] = ()
    """Run folders, each of a stage that trains by steps."""
    seconds: Path | None = None
    """File with the seconds of stages, `NAME SECONDS` a line."""
    out: Path | None = None
    """File for the table; it is printed anyway."""
    plan: bool = False
    """Plan the paper's full training from these paces, or from the authors' without runs."""
    cards: int = 1
    """Graphics cards that share a batch, for the plan; they are taken to share it evenly."""
    price: float = 3.0
    """Price of a card for an hour, for the plan."""


def main(settings: PaceSettings) -> str:
    """Print the tables.

    Arguments:
        settings: All settings.

    Returns:
        What is printed.

    Raises:
        InputError: `pace.unfit`, for a folder that is no run.
    """
    ceiling = ceiling_of(processes.device())
    paces = {run.name: pace_of(run) for run in settings.runs}
    lines = [*pace_lines(paces, ceiling)] if paces else []
    if settings.seconds:
        lines += ["", *seconds_lines(settings.seconds)]
    if settings.plan:
        lines += ["", *plan_lines(paces, settings)]
    text = "\n".join(lines).strip() + "\n"
    if settings.out:
        write_json(settings.out.with_suffix(".json"), {"ceiling": ceiling, "runs": paces})
        write_text(settings.out, text)
    print(text, end="")
    return text


def pace_of(run: Path) -> dict[str, Any]:
    """Steps, seconds, steps a second, FLOP a step and peak memory of a run.

    Raises:
        InputError: `pace.unfit`.
    """
    try:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        kept = rows[min(len(rows) - 2, max(1, int(SETTLED * len(rows)))) :]
        steps = kept[-1]["step"] - kept[0]["step"]
        rate = steps / (kept[-1]["seconds"] - kept[0]["seconds"])
    except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        raise InputError(
            "pace.unfit",
            f"Expected a run with metrics of several steps in {run}, found none: {error}.",
            "Check --runs, or train with a smaller --log-every.",
        ) from error
    told = read_json(run / PACE) if (run / PACE).exists() else {}
    result = read_json(run / "result.json") if (run / "result.json").exists() else {}
    return {
        "stage": read_json(run / "run.json").get("stage", run.name),
        "steps": rows[-1]["step"] + 1,
        "seconds": rows[-1]["seconds"],
        "rate": rate,
        "flop": told.get("flop", 0),
        "peak_bytes": result.get("peak_bytes", 0),
        "skipped": max(row.get("skipped", 0) for row in rows),
    }


def pace_lines(paces: dict[str, dict[str, Any]], ceiling: float) -> Iterator[str]:
    """The table of paces; the ceiling is in FLOP a second, 0 where there is no card."""
    yield "| run | steps | skipped | s | steps/s | TFLOP a step | share of ceiling | peak GiB |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, pace in paces.items():
        share = f"{pace['flop'] * pace['rate'] / ceiling:.0%}" if ceiling else "-"
        cells = [name, pace["steps"], f"{pace['skipped']:.0f}", f"{pace['seconds']:.0f}"]
        cells += [f"{pace['rate']:.2f}", f"{pace['flop'] / 1e12:.4f}", share]
        cells.append(f"{pace['peak_bytes'] / 2**30:.1f}")
        yield f"| {' | '.join(map(str, cells))} |"
    if ceiling:
        yield f"\nCeiling: {ceiling / 1e12:.0f} TFLOP/s, a product of bfloat16 matrices of {SIDE}."


def seconds_lines(path: Path) -> Iterator[str]:
    """The table of the seconds that stages took."""
    yield "| stage | s |"
    yield "|---|---|"
    total = 0.0
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, seconds = line.rpartition(" ")
        total += float(seconds)
        yield f"| {name} | {float(seconds):.0f} |"
    yield f"| all | {total:.0f} |"


def plan_lines(paces: dict[str, dict[str, Any]], settings: PaceSettings) -> Iterator[str]:
    """The sheet of the paper's full training.

    Checkpoints hold the weights, two moments of each, and the average of what is handed on.
    """
    heads = ["stage", "steps", "crops or blocks", "steps/s", "hours", "cost"]
    heads += ["checkpoint GB", "handed on GB"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    hours = 0.0
    for stage, (loop, units, whole, kept) in full_training().items():
        known = [pace["rate"] for pace in paces.values() if pace["stage"] == stage]
        rate = (known[0] if known else AUTHORS[stage]) * settings.cards
        needed = loop.steps / rate / 3600
        hours += needed
        cells = [stage, f"{loop.steps:,}", f"{loop.steps * units:,}", f"{rate:.2f}"]
        cells += [f"{needed:.1f}", f"{needed * settings.cards * settings.price:.0f}"]
        cells += [f"{4 * (3 * whole + kept) / 1e9:.2f}", f"{4 * kept / 1e9:.2f}"]
        yield f"| {' | '.join(cells)} |"
    cost = hours * settings.cards * settings.price
    yield f"\n{hours:.1f} hours on {settings.cards} cards: {cost:.0f} at {settings.price:g} an hour."


def full_training() -> dict[str, tuple[LoopSettings, int, int, int]]:
    """Of each stage of the preset `paper`: its loop, crops or blocks a step, weights, kept ones."""
    from training.descriptor import Contrast

    found = {}
    with torch.device("meta"):
        for stage, settings in (
            ("descriptor", DESCRIPTOR["paper"]),
            ("condition", CONDITION["paper"]),
        ):
            made = Contrast(settings.network, settings.contrast)
            units = 2 * settings.crops.pairs
            found[stage] = settings.loop, units, count(made), count(made.network)
        head = DENSITY["paper"]
        channels = DESCRIPTOR["paper"].network.out, CONDITION["paper"].network.out
        generator = torch.Generator().manual_seed(0)
        weights = count(Density(*channels, head.head, generator))
    found["density"] = head.loop, head.per_step, weights, weights
    return found


def count(module: nn.Module) -> int:
    """Weights of a module."""
    return sum(weight.numel() for weight in module.parameters())


def ceiling_of(device: torch.device) -> float:
    """Floating-point operations a second of a product of two bfloat16 matrices; 0 on a processor."""
    if device.type != "cuda":
        return 0.0
    a, b = torch.randn(2, SIDE, SIDE, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        _ = a @ b
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    for _ in range(10):
        _ = a @ b
    torch.cuda.synchronize(device)
    return 10 * 2 * SIDE**3 / (time.perf_counter() - start)
