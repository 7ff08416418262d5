"""A training of one layer, quick and random enough to tell whether it went on as it had begun."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from training.loop.loop import LoopSettings, Task, Trained, seeded, train

SETTINGS = LoopSettings(
    steps=12,
    lr=0.05,
    warmup=3,
    precision="32-true",
    device="cpu",
    checkpoint_seconds=0,
    log_every=1,
)


class Regression(nn.Module):
    """A layer with chance of its own; at the step `trouble` it does what it is told."""

    def __init__(self, trouble: int = -1, what: str = "die") -> None:
        super().__init__()
        with seeded(7):
            self.layer = nn.Linear(4, 1)
        self.drop = nn.Dropout(0.5)
        self.trouble, self.what, self.seen = trouble, what, 0

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Give the mean squared error."""
        if self.seen == self.trouble:
            self.act()
        self.seen += 1
        loss = (self.layer(self.drop(x))[:, 0] - y).square().mean()
        if self.what == "nan" and self.seen > self.trouble >= 0:
            loss = loss * float("nan")
        return {"loss": loss, "half": loss.detach() / 2}

    def act(self) -> None:
        """Die, or ask for the end."""
        if self.what == "die":
            raise RuntimeError("killed")
        if self.what == "signal":
            os.kill(os.getpid(), signal.SIGTERM)


def load(index: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng([0, index]).normal(size=(16, 4)).astype(np.float32)
    return x, x @ np.array([1, -2, 3, 0.5], dtype=np.float32)


def render(batch: tuple[np.ndarray, np.ndarray], device: torch.device) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(part).to(device) for part in batch)


def fit(run: Path, objective: Regression | None = None, **changes: float | str) -> Trained:
    settings = replace(SETTINGS, **changes)  # pyright: ignore[reportArgumentType]
    return train(Task(objective or Regression(), load, render), run, settings, "toy")


def rows(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
