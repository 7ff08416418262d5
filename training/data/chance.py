"""Chance on a device: what is drawn there is a function of a seed that the host drew."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


def generator_of(seed: int, device: torch.device) -> torch.Generator:
    """A source of chance on a device.

    Arguments:
        seed: Decides what it draws.
        device: Where.
    """
    return torch.Generator(device).manual_seed(seed)


@dataclass(frozen=True)
class Chances:
    """Two sources of chance: to read a number that a card drew would be to wait for it.

    Arguments:
        host: For numbers that the host has to know, such as where an anomaly lies.
        there: For what is drawn on the device, such as noise; on the processor the same source.
    """

    host: torch.Generator
    there: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where `there` draws."""
        return self.there.device

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw a number, evenly from `low` to `high`."""
        return low + (high - low) * torch.rand((), generator=self.host).item()

    def whole(self, count: int) -> int:
        """Draw a whole number below `count`."""
        return int(torch.randint(count, (), generator=self.host))

    def axes(self) -> list[int]:
        """Draw which axes of an image `(1, D, H, W)` are turned over, each as likely as not."""
        return [axis for axis in (1, 2, 3) if self.number() < 0.5]

    def normal(self, shape: Sequence[int]) -> torch.Tensor:
        """Draw from the standard normal distribution, on the device."""
        return torch.randn(tuple(shape), generator=self.there, device=self.device)

    def even(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Draw numbers evenly from 0 to 1, on the device."""
        return torch.rand(tuple(shape), generator=self.there, device=self.device, dtype=dtype)

    def below(self, most: int, count: int) -> torch.Tensor:
        """Draw whole numbers below `most`, int64, `(count,)`, on the device."""
        return torch.randint(most, (count,), generator=self.there, device=self.device)

    def order(self, count: int) -> torch.Tensor:
        """Draw an order of `count` things, int64, on the device."""
        return torch.randperm(count, generator=self.there, device=self.device)

    def some_of(self, inside: torch.Tensor, count: int) -> torch.Tensor:
        """Draw places of a mask with replacement; nothing waits for how many there are.

        Arguments:
            inside: Which places count, bool, any shape, on the device.
            count: How many are drawn.

        Returns:
            Where they stand in the flattened mask, int64, `(count,)`; the last place of all where
            none counts.
        """
        reached = inside.flatten().cumsum(0)
        number = (self.even((count,), torch.float64) * reached[-1]).long()
        return torch.searchsorted(reached, number + 1).clamp(max=len(reached) - 1)


def chances_of(seed: int, device: torch.device) -> Chances:
    """Sources of chance for a device.

    Arguments:
        seed: Decides what they draw.
        device: Where.
    """
    host = generator_of(seed, torch.device("cpu"))
    return Chances(host, host if device.type == "cpu" else generator_of(seed, device))


def normal(shape: Sequence[int], seed: int, device: torch.device) -> torch.Tensor:
    """Draw from the standard normal distribution, without a copy from the host.

    Arguments:
        shape: What of.
        seed: Decides the numbers.
        device: Where.
    """
    return torch.randn(*shape, generator=generator_of(seed, device), device=device)
