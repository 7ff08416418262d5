"""A stopwatch for a training: what each part of a step takes, and what the device reaches."""

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from training.loop.compiling import compile_parts
from training.loop.prefetch import prefetch
from training.loop.schedule import LoopSettings

PARTS = ("read", "augment", "networks", "loss", "backward", "optimiser")


def timed(
    objective: nn.Module, load: Callable, render: Callable, loop: LoopSettings, steps: int
) -> dict[str, Any]:
    """Time a stage's training."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    objective.to(device).train()
    if loop.compile:
        compile_parts(objective)
    stepper = Stepper(objective, loop, device)
    with FlopCounterMode(display=False) as counter:
        stepper.step(render(load(0), device))
    flops = counter.get_total_flops()
    # The first steps of a card choose algorithms and compile.
    for index in range(3 if device.type == "cuda" else 1):
        stepper.step(render(load(index), device))
    stepper.watch.seconds.clear()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for index in range(steps):
        with stepper.watch.measure("read"):
            raw = load(index)
        with stepper.watch.measure("augment"):
            batch = render(raw, device)
        stepper.step(batch)
    parts = {name: stepper.watch.seconds[name] / steps for name in PARTS}
    stepper.watch.waits = False
    with prefetch(load, range(steps), loop.workers) as batches:
        start = time.perf_counter()
        for raw in batches:
            stepper.step(render(raw, device))
        wait_for(device)
        rate = steps / (time.perf_counter() - start)
    return {
        "parts": parts,
        "rate": rate,
        "loader": delivered(load, loop.workers, 2 * steps),
        # What remains once reading is free: the most that any loader could be asked for.
        "consumed": 1 / sum(seconds for name, seconds in parts.items() if name != "read"),
        "flops": flops,
        "peak": peak_bytes(device),
        "ceiling": ceiling(device),
    }


def delivered(load: Callable, workers: int, count: int) -> float:
    """Batches a second of the loader alone."""
    with prefetch(load, range(count), workers) as batches:
        start = time.perf_counter()
        loaded = sum(1 for _ in batches)
        return loaded / (time.perf_counter() - start)


class Watch:
    """Seconds of named parts, of which each is waited for.

    Arguments:
        device: What to wait for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.waits = device, True
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time of a block to a part."""
        start = self.now()
        yield
        self.seconds[name] += self.now() - start

    def now(self) -> float:
        """The time when all that was asked for is done."""
        if self.waits:
            wait_for(self.device)
        return time.perf_counter()


class Stepper:
    """One step of a training, with a stopwatch.

    Arguments:
        objective: What is trained.
        loop: How.
        device: Where.
    """

    def __init__(self, objective: nn.Module, loop: LoopSettings, device: torch.device) -> None:
        self.objective, self.device, self.watch = objective, device, Watch(device)
        self.weights = [weight for weight in objective.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, loop.lr, fused=True)
        self.average = [weight.detach().clone() for weight in self.weights]
        self.reduced = loop.precision == "bf16-mixed"
        self.looked = 0.0
        head = getattr(objective, "head", None)
        if head is not None:
            # Before the head all time is the networks', from there on it is the loss's.
            head.register_forward_pre_hook(self.look)

    def look(self, module: nn.Module, inputs: object) -> None:
        """Note the time."""
        self.looked = self.watch.now()

    def step(self, batch: tuple[torch.Tensor, ...]) -> None:
        """Go through one step."""
        start = self.looked = self.watch.now()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
            loss = self.objective(*batch)["loss"]
        end = self.watch.now()
        middle = self.looked if self.looked > start else end
        self.watch.seconds["networks"] += middle - start
        self.watch.seconds["loss"] += end - middle
        with self.watch.measure("backward"):
            loss.backward()
        with self.watch.measure("optimiser"):
            nn.utils.clip_grad_norm_(self.weights, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            for average, weight in zip(self.average, self.weights, strict=True):
                average.lerp_(weight.detach(), 0.001)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_bytes(device: torch.device) -> float:
    """Most memory held: of the card, or of the process with all that it ever did."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ceiling(device: torch.device) -> float:
    """Floating-point operations a second of a product of two large bfloat16 matrices; 0 on a CPU."""
    if device.type != "cuda":
        return 0.0
    side = 8192
    a, b = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ b
    wait_for(device)
    start = time.perf_counter()
    for _ in range(20):
        a @ b
    wait_for(device)
    return 20 * 2 * side**3 / (time.perf_counter() - start)
