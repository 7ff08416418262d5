"""The device that the networks run on, by the name that a user gives."""

import re
from typing import TYPE_CHECKING

from ctscreener.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def find_device(name: str) -> str:
    """Turn a user's word for a device into one that this machine has.

    `auto` takes a CUDA card where there is one and the processor otherwise. An Apple card has to
    be asked for by name, since not every operation exists there.

    Arguments:
        name: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Returns:
        A name for `torch.device`: `cpu`, `cuda:N` or `mps`.

    Raises:
        InputError: `device.unavailable`, for an unknown name or a device that is not here.

    Example:
        >>> find_device("cpu")
        'cpu'
    """
    import torch

    word = re.fullmatch(r"(auto|cpu|mps|cuda)(?::(\d{1,3}))?", name)
    if word is None or (word[2] and word[1] != "cuda"):
        raise InputError(
            "device.unavailable",
            f"Expected a device auto, cpu, cuda, cuda:N or mps, found {name!r}.",
            "Use --device auto.",
        )
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(word[2] or 0)
    if word[1] == "cpu" or (word[1] == "auto" and not cards):
        return "cpu"
    if word[1] == "mps" and torch.backends.mps.is_available():
        return "mps"
    if word[1] in ("auto", "cuda") and number < cards:
        return f"cuda:{number}"
    raise InputError(
        "device.unavailable",
        f"Expected the device {name} on this machine, found {_describe(cards)}.",
        "Use --device auto, or a PyTorch that is built for this card.",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on whatever device.

    PyTorch raises a plain RuntimeError where a processor's memory does, on Linux under a limit and
    on Windows always.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
        (True, False)
    """
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _describe(cards: int) -> str:
    if cards == 0:
        return "no CUDA card that PyTorch can use"
    return f"{cards} CUDA card{'s' if cards > 1 else ''}, numbered from cuda:0"


def sent(values: "Tensor", device: "torch.device") -> "Tensor":
    """Bring a tensor to a device; a graphics card fetches it while the program goes on.

    Arguments:
        values: On the host.
        device: Where to; on the processor it stays as it is.
    """
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
