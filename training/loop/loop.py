"""The training loop: the one that every stage uses.

The batch of step k is a pure function of the seed and k, so that a training that was killed and
started again computes the same numbers as one that never stopped.
"""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy

from ctscreener.errors import InputError
from training.loop.compiling import compile_parts, products
from training.loop.flop import counted
from training.loop.journal import Journal
from training.loop.memory import check_memory
from training.loop.prefetch import prefetch
from training.loop.schedule import FREE, LoopSettings
from training.loop.session import Session
from training.loop.stopping import hear_stop
from training.loop.task import Task
from training.loop.trained import Trained

__all__ = ["FREE", "LoopSettings", "Task", "Trained", "seeded", "train"]

Raw = TypeVar("Raw")
GIB = 2**30
NODE_PROCESSES = "LOCAL_WORLD_SIZE"
"""Where torchrun says how many processes it has started on this machine."""


def train(task: Task[Raw], run: Path, settings: LoopSettings, title: str) -> Trained:
    """Train a task's objective, going on from the checkpoint in the run folder if there is one.

    Arguments:
        task: What to train, and on what.
        run: The run folder.
        settings: How to train.
        title: What is trained, for the terminal.

    Returns:
        The averaged weights, and whether training is finished.

    Raises:
        InputError: A loss is not finite, the checkpoint does not fit, a step needs more memory
            than there is, or the disk is full.
        SystemExit: The process was asked to stop; a checkpoint has been written.
    """
    fabric = _fabric(settings, task.idle_weights)
    stop: list[int] = []
    with contextlib.ExitStack() as stack:
        # What an objective draws by itself is decided by the seed too, unless a checkpoint says it.
        stack.enter_context(seeded(settings.seed + fabric.global_rank))
        stack.enter_context(products(fabric.device, settings.tf32))
        session = Session(fabric, task, run, settings)
        clock = session.clock
        if task.need is not None and not clock.ended():
            check_memory(session.trial, task.need, fabric.device, session.weights_still_to_come())
        if settings.compile:
            # After the trial, whose smaller batches would have a graph compiled for each.
            compile_parts(task.objective)
        journal = None
        if fabric.is_global_zero:
            journal = stack.enter_context(Journal(run, title, clock.step))
        stack.enter_context(hear_stop(stop))
        indices = (
            step * fabric.world_size + fabric.global_rank
            for step in range(clock.step, settings.steps)
        )
        batches = stack.enter_context(prefetch(task.load, indices, settings.workers))
        while not (clock.ended() or session.agreed(bool(stop) or clock.paused())):
            batch = task.render(next(batches), fabric.device)
            if journal and clock.step % settings.watch_every == 0:
                _look(task, batch, journal, clock.step)
            count = settings.count_flop and journal and clock.step == session.first
            with counted(run if count else None):
                session.step(batch, journal)
            if session.agreed(clock.due()):
                session.save()
        session.save()
    if stop:
        raise SystemExit(128 + stop[0])
    weights = {name: value.cpu() for name, value in session.average.items()}
    peak = _peak_bytes(fabric.device)
    if fabric.is_global_zero:
        print(f"{title}: at most {peak / GIB:.2f} GiB held on {fabric.device}", file=sys.stderr)
    return Trained(weights, clock.step, clock.ended(), clock.seconds(), peak)


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


def _look(task: Task[Raw], batch: tuple[torch.Tensor, ...], journal: Journal, step: int) -> None:
    """Write down what is looked at now and then."""
    if task.pictures and (pictures := task.pictures(batch)):
        journal.draw(step, pictures)
    if task.watch and (watched := task.watch()):
        journal.watched(step, watched)


def _fabric(settings: LoopSettings, idle_weights: bool) -> Fabric:
    """Start Fabric on the devices that were asked for.

    Arguments:
        settings: Which devices.
        idle_weights: See `Task`.

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
    # Under torchrun or a cluster their number of processes counts, not the setting.
    nodes, local = (
        int(os.environ.get(name, "0")) for name in ("GROUP_WORLD_SIZE", NODE_PROCESSES)
    )
    several = (local or settings.devices) * (nodes or 1) > 1
    fabric = Fabric(
        accelerator=accelerator,
        # To look for weights without a gradient costs time at every step.
        strategy=DDPStrategy(find_unused_parameters=True) if several and idle_weights else "auto",
        devices=local or settings.devices,
        num_nodes=nodes or 1,
        precision=settings.precision,
    )
    fabric.launch()
    if fabric.world_size > 1 and settings.schedule == "minutes":
        raise InputError(
            "training.minutes_apart",
            "Expected --schedule steps with several processes, found minutes: their clocks differ.",
            "Use --schedule steps.",
        )
    return fabric


def _peak_bytes(device: torch.device) -> int:
    """Most memory held at a time: of the graphics card, else of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kilo = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo
