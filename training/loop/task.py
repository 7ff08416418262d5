"""A task: what is trained, on which batches, and what is looked at meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from training.loop.journal import Pictures
from training.loop.memory import Need

Raw = TypeVar("Raw")


@dataclass(frozen=True)
class Task(Generic[Raw]):
    """What `training.loop.loop.train` trains; how long, how fast and where is the loop's own.

    Networks that stay as they are belong into `render`, or into what it closes over: the loop puts
    the objective into training mode, in which the statistics of a batch norm would move.

    Arguments:
        objective: Called with what `render` returns; gives its metrics by name, scalars, of which
            `loss` is the one that falls. Only weights that need a gradient are trained.
        load: Makes the batch of an index on the host, in a background thread; a pure function of
            the index.
        render: Moves a batch to the device and prepares it there; draws chance from the batch.
        need: How much memory a step takes; with it a graphics card that is too small is refused
            before the first step.
        pictures: Draws what the networks see in a step, for TensorBoard.
        watch: Measures the objective's present weights on what it is not trained on.
        idle_weights: Whether a step may leave some of the trained weights without a gradient, as
            the two sides of a GAN do; several processes then have to look for them.
        shares: Weights that learn more slowly: the beginning of their names, and their share of
            the learning rate.
        kept: The part of the objective that is handed on; of the rest no running average is
            taken. All of it where none is named.
    """

    objective: nn.Module
    load: Callable[[int], Raw]
    render: Callable[[Raw, torch.device], tuple[Tensor, ...]]
    need: Need | None = None
    pictures: Pictures | None = None
    watch: Callable[[], dict[str, float]] | None = None
    idle_weights: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    kept: str = ""
