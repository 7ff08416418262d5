"""The training loop: the one that every stage uses.

The batch of step k is a pure function of the seed and k, so that a training that was killed and
started again computes the same numbers as one that never stopped.
"""

import contextlib
import math
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

import torch
from lightning.fabric import Fabric
from safetensors.torch import save_file
from torch import nn

from ctscreener.errors import InputError
from ctscreener.settings import write_json
from training.checkpoint import load_checkpoint, save_checkpoint
from training.journal import Journal
from training.schedule import FREE, Clock, LoopSettings

__all__ = ["FREE", "LoopSettings", "Trained", "seeded", "train"]

Raw = TypeVar("Raw")


@dataclass(frozen=True)
class Trained:
    """What a session of training leaves.

    Arguments:
        weights: Running average of the weights of the objective, on the host, by name.
        step: Steps done, in all sessions.
        finished: False when the time was up before the last step.
        seconds: Time spent, in all sessions.
    """

    weights: dict[str, torch.Tensor]
    step: int
    finished: bool
    seconds: float

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Give the weights of one module of the objective, without its name.

        Arguments:
            prefix: Name of the module, such as `network`.
        """
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.weights.items() if k.startswith(start)}

    def save(self, run: Path, prefix: str) -> None:
        """Write the weights of one module, and how they came about, into the run folder.

        Arguments:
            run: The run folder; receives `<prefix>.safetensors` and `result.json`.
            prefix: Name of the module, such as `network`.
        """
        path = run / f"{prefix}.safetensors"
        beside = path.with_name(path.name + ".part")
        save_file({k: v.contiguous() for k, v in self.part(prefix).items()}, beside)
        # Safetensors lets nobody but the owner read what it writes.
        beside.chmod(0o644)
        os.replace(beside, path)
        result = {"step": self.step, "finished": self.finished, "seconds": self.seconds}
        write_json(run / "result.json", result)


def train(
    objective: nn.Module,
    load: Callable[[int], Raw],
    render: Callable[[Raw, torch.device], tuple[torch.Tensor, ...]],
    run: Path,
    settings: LoopSettings,
    title: str,
) -> Trained:
    """Train an objective, going on from the checkpoint in the run folder if there is one.

    Arguments:
        objective: Called with what `render` returns; gives its metrics by name, scalars, of which
            `loss` is the one that falls. Only weights that need a gradient are trained.
        load: Makes the batch of an index on the host, in a background thread; a pure function of
            the index.
        render: Moves a batch to the device and prepares it there; draws chance from the batch.
        run: The run folder.
        settings: How to train.
        title: What is trained, for the terminal.

    Returns:
        The averaged weights, and whether training is finished.

    Raises:
        InputError: A loss is not finite, or the checkpoint does not fit.
        SystemExit: The process was asked to stop; a checkpoint has been written.
    """
    fabric = _fabric(settings)
    session = _Session(fabric, objective, run, settings)
    stop: list[int] = []
    with contextlib.ExitStack() as stack:
        journal = None
        if fabric.is_global_zero:
            journal = stack.enter_context(Journal(run, title, session.clock.step))
        stack.enter_context(_hear_stop(stop))
        batches = stack.enter_context(_prefetch(load, session.clock.step, fabric, settings))
        while not session.clock.ended() and not _any(fabric, bool(stop) or session.clock.paused()):
            session.step(render(next(batches), fabric.device), journal)
            if session.clock.due():
                session.save()
        session.save()
    if stop:
        raise SystemExit(128 + stop[0])
    clock = session.clock
    weights = {name: value.cpu() for name, value in session.average.items()}
    return Trained(weights, clock.step, clock.ended(), clock.seconds())


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make what is built inside a function of a seed, such as the first weights of a network.

    Torch draws first weights from its global generator; its state is put back afterwards.

    Arguments:
        seed: Any whole number.

    Example:
        >>> with seeded(3):
        ...     first = torch.rand(2)
        >>> with seeded(3):
        ...     second = torch.rand(2)
        >>> torch.equal(first, second)
        True
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


class _Session:
    """What changes while a training runs, on one process.

    Arguments:
        fabric: Device and precision.
        objective: What is trained.
        run: The run folder, from whose checkpoint the session goes on.
        settings: How to train.
    """

    def __init__(
        self, fabric: Fabric, objective: nn.Module, run: Path, settings: LoopSettings
    ) -> None:
        self.fabric, self.objective, self.run, self.settings = fabric, objective, run, settings
        self.clock = Clock(settings)
        self._path = run / "checkpoint.safetensors"
        self._weights = [w for w in objective.parameters() if w.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._weights,
            settings.lr,
            weight_decay=settings.weight_decay,
            eps=settings.epsilon,
            fused=True,
        )
        # Not finite as soon as one loss or gradient was not.
        self._doubt = torch.zeros((), device=fabric.device)
        objective.train()
        self._model, self._wrapped = fabric.setup(objective, self._optimizer)
        self.average = {k: v.detach().clone() for k, v in objective.state_dict().items()}
        if self._path.exists():
            self.clock.resume(
                load_checkpoint(self._path, objective, self._optimizer, self.average)
            )

    def step(self, batch: tuple[torch.Tensor, ...], journal: Journal | None) -> None:
        """Train on one batch and write down how it went."""
        clock, settings = self.clock, self.settings
        lr = settings.lr * clock.factor()
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        metrics = self._model(*batch)
        self.fabric.backward(metrics["loss"])
        norm = nn.utils.clip_grad_norm_(self._weights, settings.clip)
        self._doubt += 0 * (metrics["loss"].detach() + norm)
        # Reading a loss waits for the graphics card, so it is not done at every step.
        if clock.step % settings.log_every == 0:
            values = {name: value.item() for name, value in metrics.items()}
            values |= {"grad_norm": norm.item(), "lr": lr, "seconds": round(clock.seconds(), 3)}
            self._check_finite(values)
            if journal is not None:
                journal.write(clock.step, values)
                journal.show(clock.step + 1, clock.share(), values["loss"])
        self._wrapped.step()
        self._wrapped.zero_grad(set_to_none=True)
        self._follow()
        clock.step += 1

    def save(self) -> None:
        """Write a checkpoint; every process waits for it."""
        self._check_finite({"loss": self._doubt.item()})
        if self.fabric.is_global_zero:
            state = self.clock.state()
            save_checkpoint(self._path, self.objective, self._optimizer, self.average, state)
        self.fabric.barrier()
        self.clock.saved()

    def _follow(self) -> None:
        """Move the running average; quickly at first, as the first weights are worth little."""
        decay = min(self.settings.average, (1 + self.clock.step) / (10 + self.clock.step))
        current = self.objective.state_dict()
        names = [name for name, value in self.average.items() if value.is_floating_point()]
        for name in names:
            self.average[name].lerp_(current[name], 1 - decay)
        for name in self.average.keys() - set(names):
            self.average[name].copy_(current[name])

    def _check_finite(self, values: dict[str, float]) -> None:
        """Stop, before the weights are spoilt, when a loss or gradient is not finite."""
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise InputError(
                "training.not_finite",
                f"Expected finite numbers, found {bad[0]} = {values[bad[0]]} at step "
                f"{self.clock.step} in {self.run}; the last checkpoint is from before.",
                "Start again in another --run with a smaller --lr or --precision 32-true.",
            )


def _fabric(settings: LoopSettings) -> Fabric:
    """Start Fabric on the devices that were asked for.

    Raises:
        InputError: There are no such devices.
    """
    accelerator = {"auto": "auto", "cpu": "cpu", "cuda": "cuda"}.get(settings.device)
    if accelerator is None or (accelerator == "cuda" and not torch.cuda.is_available()):
        raise InputError(
            "device.missing",
            f"Expected a device of this machine or `auto`, found {settings.device}.",
            "Use --device auto or --device cpu.",
        )
    fabric = Fabric(
        accelerator=accelerator, devices=settings.devices, precision=settings.precision
    )
    fabric.launch()
    return fabric


def _any(fabric: Fabric, flag: bool) -> bool:
    """Whether any process raises the flag, so that all of them stop at the same step."""
    if fabric.world_size == 1:
        return flag
    raised = torch.tensor(float(flag), device=fabric.device)
    return bool(torch.as_tensor(fabric.all_reduce(raised, reduce_op="sum")).item() > 0)


@contextlib.contextmanager
def _hear_stop(heard: list[int]) -> Iterator[None]:
    """Note the signals that ask for an end instead of dying of them, for as long as it lasts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _prefetch(
    load: Callable[[int], Raw], first: int, fabric: Fabric, settings: LoopSettings
) -> Iterator[Iterator[Raw]]:
    """Load the next batches of this process in the background while one is trained on."""
    pool = ThreadPoolExecutor(max(1, settings.workers), thread_name_prefix="load")

    def batches() -> Iterator[Raw]:
        waiting: deque[Future[Raw]] = deque()
        for step in range(first, settings.steps + 2 * settings.workers):
            waiting.append(pool.submit(load, step * fabric.world_size + fabric.global_rank))
            if len(waiting) > 2 * settings.workers:
                yield waiting.popleft().result()

    try:
        yield batches()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
