"""Predicts what a step of a preset takes on a graphics card, without one.

    python Testing/benchmarks/predicted.py [--presets minutes small paper] [--card h100]

A step runs forward and back on torch's meta device: tensors with a shape and no values. Of every
kernel its floating-point operations are counted, by torch's own formulas, and the bytes that it
reads and writes. A kernel takes as long as its slowest part: operations at the share of the card's
peak that such kernels reach, bytes at the share of its bandwidth that they reach, or its launch.
The shares are assumed and printed; they are the largest doubt. Networks and heads are in bfloat16.
Of the density a step is counted from its cache on the card on: standardization, noise, the flow. It
is taken to score as many voxels as the preset asks for, which its blocks have where body fills them.

This is a prediction. No card was asked.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]

from ctscreener.conditions import ConditionSettings
from ctscreener.density import Density
from training import presets
from training.ape import Positions
from training.density import DensityStageSettings
from training.descriptor import Contrast

META = torch.device("meta")
VIEWS = ("view", "reshape", "expand", "slice", "select", "permute", "transpose", "detach", "t.def")
VIEWS += ("unsqueeze", "squeeze", "alias", "split", "chunk", "as_strided", "unbind", "empty")
STEADY = 2e-4
"""Seconds of a step beside its kernels: what Python does that a card waits for."""


@dataclass(frozen=True)
class Card:
    """A graphics card, and what kernels reach of it.

    Arguments:
        bf16: Peak of products in bfloat16, FLOP/s.
        tf32: Peak in TF32.
        memory: Peak bandwidth, bytes/s.
        convolutions: Share of the peak that convolutions reach.
        products: Share that products of matrices reach.
        moved: Share of the bandwidth that other kernels reach.
        launch: Seconds of a kernel at least.
    """

    bf16: float
    tf32: float
    memory: float
    convolutions: float = 0.3
    products: float = 0.6
    moved: float = 0.7
    launch: float = 4e-6


CARDS = {"h100": Card(989e12, 495e12, 3.35e12), "a100": Card(312e12, 156e12, 2.0e12)}


class Cost(TorchDispatchMode):
    """Adds up what kernels take.

    Arguments:
        card: On what.
    """

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.card = card
        self.seconds = self.flop = self.bytes = 0.0
        self.kernels = 0

    def __torch_dispatch__(  # noqa: ANN204 - anything that torch computes
        self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ):
        """Run an operation without values, and count it."""
        out = func(*args, **(kwargs or {}))
        name = str(func).removeprefix("aten.")
        if not name.startswith(VIEWS):
            made = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
            given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
            self.add(func, args, kwargs or {}, out, given + made)
        return out

    def add(
        self, func: Callable, args: tuple, kwargs: dict, out: object, seen: list[torch.Tensor]
    ) -> None:
        """Count one kernel."""
        card, counting = self.card, flop_registry.get(func._overloadpacket)  # pyright: ignore[reportFunctionMemberAccess]
        flop = counting(*args, **kwargs, out_val=out) if counting else 0
        moved = sum(tensor.nbytes for tensor in seen)
        half = all(t.dtype == torch.bfloat16 for t in seen if t.is_floating_point())
        share = card.convolutions if "conv" in str(func) else card.products
        peak = share * (card.bf16 if half else card.tf32)
        self.seconds += max(flop / peak, moved / (card.moved * card.memory), card.launch)
        self.flop += flop
        self.bytes += moved
        self.kernels += 1


def main() -> None:
    """Print a table."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--presets", nargs="+", default=["minutes", "small", "paper"])
    flags.add_argument(
        "--stages", nargs="+", default=["descriptor", "condition", "ape", "density"]
    )
    flags.add_argument("--card", default="h100", choices=list(CARDS))
    options = flags.parse_args()
    card = CARDS[options.card]
    print(f"{options.card}: {card}\n")
    heads = ["stage", "preset", "TFLOP a step", "GB moved", "kernels", "ms a step", "steps/s"]
    print(f"| {' | '.join([*heads, 'share of peak'])} |")
    print("|---" * (len(heads) + 1) + "|")
    for preset in options.presets:
        for stage in options.stages:
            cost = cost_of(stage, preset, card)
            seconds = cost.seconds + STEADY
            cells = [stage, f"`{preset}`", f"{cost.flop / 1e12:.1f}", f"{cost.bytes / 1e9:.0f}"]
            cells += [str(cost.kernels), f"{1000 * seconds:.0f}", f"{1 / seconds:.1f}"]
            cells.append(f"{cost.flop / seconds / card.bf16:.0%}")
            print(f"| {' | '.join(cells)} |", flush=True)


def cost_of(stage: str, preset: str, card: Card) -> Cost:
    """What a step of a stage takes."""
    if stage == "density":
        return density_cost(presets.DENSITY[preset], preset, card)
    table = {"descriptor": presets.DESCRIPTOR, "condition": presets.CONDITION, "ape": presets.APE}
    settings = table[stage][preset]
    crops, network = settings.crops, settings.network
    with META:
        if stage == "ape":
            objective: nn.Module = Positions(settings)
        else:
            objective = Contrast(network, settings.contrast)
        objective.bfloat16()
        # What is read at positions is float32, as in a training; autocast brings it back.
        objective.network.heads.float()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        if isinstance(objective, Contrast):
            objective.head.register_forward_pre_hook(lambda part, given: (given[0].bfloat16(),))
        if network.norm == "voxel":
            objective.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
        count = 2 * crops.pairs
        images = torch.empty(count, network.inputs, *crops.size, dtype=torch.bfloat16)
        places = torch.empty(count, crops.positions // crops.pairs, 3)
    world = (places[: crops.pairs],) if stage == "ape" else ()
    cost = Cost(card)
    with without_autocast(), cost:
        objective(images, places, *world)["loss"].backward()
    return with_optimiser(cost, objective)


def density_cost(settings: DensityStageSettings, preset: str, card: Card) -> Cost:
    """What a step of the density takes, whose cache lies on the card."""
    described = presets.DESCRIPTOR[preset].network.out
    known = ConditionSettings(settings.sincos, presets.CONDITION[preset].network)
    widths = described, known.channels(described)
    density = Density(*widths, settings.head, torch.Generator().manual_seed(0)).to(META)
    for part in density.modules():
        if isinstance(part, nn.Linear):
            # As autocast has it: products in bfloat16 of rows in float32, which are converted.
            part.bfloat16()
            part.register_forward_pre_hook(lambda part, given: (given[0].bfloat16(),))
    shape = (settings.per_step, *settings.block)
    cached = [
        torch.empty(shape[0], n, *shape[1:], dtype=torch.float16, device=META) for n in widths
    ]
    numbers = torch.empty(settings.voxels, dtype=torch.int64, device=META)
    cost, noise = Cost(card), settings.noise
    with without_autocast(), cost:
        # As `training.likelihood.noisy` has it, from where the blocks are stacked.
        y, c = (torch.stack(list(maps)).float() for maps in cached)
        y, c = density.standardize_y(y), density.standardize_c(c)
        y, c = (maps + noise * torch.randn(maps.shape, device=META) for maps in (y, c))
        density.rows(y, c, numbers).mean().backward()
    return with_optimiser(cost, density)


@contextlib.contextmanager
def without_autocast() -> Iterator[None]:
    """Leave precision as it is: the card without values has no autocast."""
    autocast, torch.autocast = torch.autocast, lambda *a, **k: contextlib.nullcontext()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.autocast = autocast


def with_optimiser(cost: Cost, objective: nn.Module) -> Cost:
    """Add what follows the way back."""
    # AdamW reads and writes weight, gradient and two moments, the average reads and writes twice.
    cost.seconds += 12 * 4 * count_of(objective) / (cost.card.moved * cost.card.memory)
    return cost


def count_of(module: nn.Module) -> int:
    """Weights of a module."""
    return sum(weight.numel() for weight in module.parameters())


if __name__ == "__main__":
    main()
