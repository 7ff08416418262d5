"""What a training begins with, where it is not random numbers: the weights of an earlier one."""

import sys
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ctscreener.errors import InputError

CHECKPOINT = "checkpoint.safetensors"
RESULTS = ("network", "density", "student", "encoder")
"""Files that runs leave at their end, without the name of the part that they hold."""


def begin_with(objective: nn.Module, path: Path, kept: str) -> None:
    """Load averaged weights of an earlier training into an objective.

    Arguments:
        objective: Changed in place.
        path: A run folder, its checkpoint, or the weights that it has left.
        kept: The part of the objective that has to be found whole; all of it where empty.

    Raises:
        InputError: `init.missing` or `init.unfit`.
    """
    found = averaged(path)
    own = objective.state_dict()
    fitting = {n: v for n, v in found.items() if n in own and v.shape == own[n].shape}
    if lacking := sorted(name for name in own if name.startswith(kept) and name not in fitting):
        there = f"of shape {tuple(found[lacking[0]].shape)}" if lacking[0] in found else "none"
        raise InputError(
            "init.unfit",
            f"Expected {lacking[0]} of shape {tuple(own[lacking[0]].shape)} in {path}, found "
            f"{there}: it was trained with another network.",
            "Use the sizes of that run, or leave --init-from out.",
        )
    objective.load_state_dict(fitting, strict=False)
    fresh = len(own) - len(fitting)
    others = f"; {fresh} others are new" if fresh else ""
    print(f"Begins with {len(fitting)} tensors of {path}{others}", file=sys.stderr)


def averaged(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a run, by their names in its objective.

    Raises:
        InputError: `init.missing`.
    """
    places = [path]
    if path.is_dir():
        places = [path / CHECKPOINT, *(path / f"{name}.safetensors" for name in RESULTS)]
    there = [place for place in places if place.is_file()]
    try:
        if not there:
            raise OSError("there are no weights")
        with safe_open(there[0], framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(
            "init.missing",
            f"Expected the weights of a run in {path}: {error}.",
            "Check --init-from.",
        ) from error
    if any(name.startswith("average.") for name in tensors):
        # Of what is not handed on no average was taken.
        parts = [part_of(tensors, start) for start in ("model.", "average.")]
        return parts[0] | parts[1]
    prefix = there[0].stem
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def part_of(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    """Tensors under a prefix, without it."""
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}
