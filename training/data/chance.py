"""Chance on a device: what is drawn there is a function of a seed that the host drew."""

from collections.abc import Sequence

import torch


def generator_of(seed: int, device: torch.device) -> torch.Generator:
    """A source of chance on a device.

    Arguments:
        seed: Decides what it draws.
        device: Where.
    """
    return torch.Generator(device).manual_seed(seed)


def normal(shape: Sequence[int], seed: int, device: torch.device) -> torch.Tensor:
    """Draw from the standard normal distribution, without a copy from the host.

    Arguments:
        shape: What of.
        seed: Decides the numbers.
        device: Where.
    """
    return torch.randn(*shape, generator=generator_of(seed, device), device=device)
