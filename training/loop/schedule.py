"""The schedule of a training: how long, how fast, and where it is."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctscreener.errors import InputError
from training.workers import check_workers

FREE = (
    *("max_minutes", "checkpoint_seconds", "device", "devices", "workers", "in_memory"),
    *("watch_every", "compile", "count_flop", "tf32", "run"),
)
"""Settings that may differ between two sessions of one run."""


RISING = 0.1
"""Largest share of the time over which the learning rate rises, by the clock."""


@dataclass(frozen=True)
class LoopSettings:
    """How long, how fast and on what a stage trains."""

    steps: int = 300_000
    """Steps; with the schedule `minutes`, at most so many."""
    lr: float = 3e-4
    """Learning rate after the warm-up."""
    warmup: int = 10_000
    """Steps over which the learning rate rises from 0; at most a fifth of all steps, or a tenth of
    the time with the schedule `minutes`."""
    decay: Literal["cosine", "linear"] = "cosine"
    """How the learning rate falls to 0 after the warm-up."""
    weight_decay: float = 1e-6
    """Weight decay of AdamW."""
    epsilon: float = 1e-8
    """Added to the root of the second moment in AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the first and of the second moment in AdamW."""
    clip: float = 1.0
    """Largest norm of the gradient of all weights together."""
    average: float = 0.999
    """Decay of the running average of the weights, which is what a stage hands on."""
    init_from: Path | None = None
    """Run folder, or file, whose averaged weights a training begins with, with a fresh optimizer;
    what it does not hold begins as it would without."""
    not_finite: int = 5
    """Steps in a row whose gradient is not finite after which a training gives up; each is
    skipped, and counted in metrics.jsonl."""
    seed: int = 0
    """Decides the initial weights, every batch and every draw."""
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    """Precision of the networks; losses are always float32."""
    tf32: bool = True
    """Products of float32 matrices in TF32 on a graphics card, as in VICReg's covariances: several
    times faster, to three digits."""
    device: str = "auto"
    """`cpu`, `cuda` or `auto`."""
    devices: int = 1
    """Devices on this machine; each takes a batch of its own."""
    workers: int = 1
    """Threads that load the next batches."""
    checkpoint_seconds: float = 300.0
    """Seconds between two checkpoints."""
    max_minutes: float | None = None
    """Stop with a checkpoint after so many minutes of this session; with the schedule `minutes`,
    of all sessions together."""
    schedule: Literal["steps", "minutes"] = "steps"
    """What the learning rate falls over. With `minutes` it reaches 0 after `max_minutes`: good on
    a slow machine, but then the result depends on the machine's speed."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    watch_every: int = 1_000
    """Steps between two sample pictures in TensorBoard and two looks at held-out scans."""
    count_flop: bool = False
    """Count the floating-point operations of the first step of a session, for the stage `pace`; torch
    then computes that step in other pieces, so that it is rounded otherwise."""
    compile: bool = False
    """Let torch.compile make the networks faster; the first steps then take minutes."""

    def __post_init__(self) -> None:
        """Refuse fewer threads than there can be."""
        check_workers(self.workers)


class Clock:
    """The step and the time of a training, over all of its sessions.

    Arguments:
        settings: How long to train.

    Example:
        >>> clock = Clock(LoopSettings(steps=110, warmup=10, decay="linear"))
        >>> clock.step = 60
        >>> clock.factor()
        0.5
    """

    def __init__(self, settings: LoopSettings) -> None:
        if settings.schedule == "minutes" and settings.max_minutes is None:
            raise InputError(
                "training.no_minutes",
                "Expected --max-minutes with --schedule minutes, found none.",
                "Say how long to train, or use --schedule steps.",
            )
        self.step = 0
        self._settings = settings
        self._before = 0.0
        self._started = self._saved = time.monotonic()

    def resume(self, state: dict[str, float]) -> None:
        """Go on from the state of an earlier session."""
        self.step, self._before = int(state["step"]), float(state["seconds"])

    def state(self) -> dict[str, float]:
        """Give what `resume` needs."""
        return {"step": self.step, "seconds": self.seconds()}

    def seconds(self) -> float:
        """Seconds spent in all sessions."""
        return self._before + time.monotonic() - self._started

    def saved(self) -> None:
        """Note that a checkpoint has been written."""
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved > self._settings.checkpoint_seconds

    def share(self) -> float:
        """Part of the training that is done, 0 to 1."""
        by_steps = (self.step + 1) / self._settings.steps
        if self._settings.schedule == "steps":
            return min(by_steps, 1.0)
        return min(max(by_steps, self.seconds() / self._limit()), 1.0)

    def ended(self) -> bool:
        """Whether the training is finished."""
        if self.step >= self._settings.steps:
            return True
        return self._settings.schedule == "minutes" and self.seconds() >= self._limit()

    def paused(self) -> bool:
        """Whether the time of this session is up."""
        if self._settings.schedule == "minutes" or self._settings.max_minutes is None:
            return False
        return time.monotonic() - self._started >= self._limit()

    def factor(self) -> float:
        """Factor of the learning rate at this step: up from 0, then down to 0."""
        settings = self._settings
        warmup = max(1, min(settings.warmup, settings.steps // 5))
        rise = (self.step + 1) / warmup
        if settings.schedule == "steps":
            warmup = min(settings.warmup, warmup)
            after = (self.step - warmup) / max(1, settings.steps - warmup)
        else:
            after = self.seconds() / self._limit()
            rise = max(rise, after / RISING)
        rise = min(rise, 1.0)
        after = min(max(after, 0.0), 1.0)
        fall = 1 - after if settings.decay == "linear" else (1 + math.cos(math.pi * after)) / 2
        return rise * fall

    def _limit(self) -> float:
        """Seconds that `max_minutes` allows."""
        return 60 * (self._settings.max_minutes or math.inf)
