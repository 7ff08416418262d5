"""Before the first step: whether the graphics card has room for what one step takes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ctscreener.errors import InputError

GIB = 2**30
SHARE = 0.95
"""Part of the free memory that may be planned for: the rest is lost between blocks."""

Batch = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Need:
    """What the memory of a step grows with, in units such as one pair of crops.

    Arguments:
        units: How many of them the settings ask for.
        batch: Makes the batch of so many units on a device.
        flags: The flags that ask for so many units.
    """

    units: int
    batch: Callable[[int, torch.device], Batch]
    flags: Callable[[int], str]


def check_memory(
    trial: Callable[[Batch], None], need: Need, device: torch.device, to_come: int
) -> None:
    """Refuse a step that does not fit the graphics card; two small steps tell.

    Arguments:
        trial: Goes through a step without changing any weight.
        need: What the memory grows with.
        device: Where; only a graphics card is looked at.
        to_come: Bytes that later steps hold beyond those of the trial.

    Raises:
        InputError: `training.memory`, with the flags that fit.
    """
    if device.type != "cuda":
        return

    def peak(units: int) -> float:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            trial(need.batch(units, device))
        except torch.OutOfMemoryError:
            return float("inf")
        finally:
            torch.cuda.empty_cache()
        return torch.cuda.max_memory_allocated(device) + to_come

    free, whole = torch.cuda.mem_get_info(device)
    room = SHARE * (free + torch.cuda.memory_allocated(device))
    refuse_too_large(peak, need, room, f"a card of {whole / GIB:.0f} GiB")
    torch.cuda.reset_peak_memory_stats(device)


def refuse_too_large(peak: Callable[[int], float], need: Need, room: float, where: str) -> None:
    """Refuse more units than there is room for.

    Memory is a straight line in the units: weights and what the loss needs whatever the batch,
    plus the same for each unit. One and two units give that line.

    Arguments:
        peak: Bytes that a step of so many units takes.
        need: How many are asked for, and the flags that ask for fewer.
        room: Bytes that there are.
        where: What has them, for the message.

    Raises:
        InputError: `training.memory`.
    """
    one = peak(1)
    more = max(peak(2) - one, 1.0) if need.units > 1 and one <= room else 0.0
    wanted = one + more * (need.units - 1)
    if wanted <= room:
        return
    if one > room:
        advice = "Use a smaller --crops.size, --contrast.width or network, or a larger card."
    else:
        fitting = min(need.units - 1, 1 + int((room - one) / more))
        advice = f"Use {need.flags(fitting)}, or a larger card."
    raise InputError(
        "training.memory",
        f"Expected a step that fits {room / GIB:.1f} GiB of {where}, found that "
        f"{need.flags(need.units)} needs about {wanted / GIB:.1f} GiB.",
        advice,
    )
