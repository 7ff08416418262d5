"""One step of a training on a graphics card without values."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from Testing.engine.valueless_card import CARD, Traffic, card
from training.loop.schedule import LoopSettings
from training.loop.session import Session
from training.loop.task import Task


@dataclass
class OneCard:
    """What of Fabric a session asks."""

    device: torch.device = CARD
    world_size: int = 1
    global_rank: int = 0
    is_global_zero: bool = field(default=True)

    def setup(self, objective: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """Both are where they should be."""
        return objective, optimizer

    def backward(self, loss: torch.Tensor) -> None:
        """Go back."""
        loss.backward()


def step(task: Task[Any], loop: LoopSettings, run: Path, patch: pytest.MonkeyPatch) -> Traffic:
    """Go through one step, between two that are logged, on a card without values.

    Arguments:
        task: What is trained.
        loop: How.
        run: A folder without a checkpoint.
        patch: Puts back what it replaces.
    """
    task.objective.to(CARD)
    session = Session(OneCard(), task, run, loop)  # pyright: ignore[reportArgumentType]
    with card(patch):
        # What a first step sets up for good, such as moments, is none of a step.
        for number in (0, 1):
            raw = task.load(number)
            session.clock.step = 1
            with Traffic() as traffic:
                session.step(task.render(raw, CARD), None)
    return traffic
