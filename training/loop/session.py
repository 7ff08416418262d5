"""What changes while a training runs, on one process: weights, their average, the optimizer."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from ctscreener.errors import InputError
from training.loop import processes
from training.loop.checkpoint import load_checkpoint, save_checkpoint
from training.loop.journal import Journal
from training.loop.schedule import Clock, LoopSettings
from training.loop.skipping import Skipping
from training.loop.start import begin_with
from training.loop.task import Task


class Session:
    """A training between two steps.

    Arguments:
        fabric: Device and precision.
        task: What is trained.
        run: The run folder, from whose checkpoint the session goes on.
        settings: How to train.
    """

    def __init__(self, fabric: Fabric, task: Task[Any], run: Path, settings: LoopSettings) -> None:
        objective = task.objective
        self.fabric, self.objective, self.run, self.settings = fabric, objective, run, settings
        self.clock = Clock(settings)
        self._path = run / "checkpoint.safetensors"
        if settings.init_from and not self._path.exists():
            begin_with(objective, settings.init_from, task.kept)
        groups = by_share(objective, task.shares)
        self._shares = list(groups)
        self._weights = [weight for group in groups.values() for weight in group]
        self._optimizer = torch.optim.AdamW(
            [{"params": group} for group in groups.values()],
            settings.lr,
            settings.betas,
            weight_decay=settings.weight_decay,
            eps=settings.epsilon,
            fused=True,
        )
        objective.train()
        self._model, self._wrapped = fabric.setup(objective, self._optimizer)
        self.average = {
            name: value.detach().clone()
            for name, value in objective.state_dict().items()
            if name.startswith(task.kept)
        }
        state: dict[str, Any] = {}
        if self._path.exists():
            state = load_checkpoint(self._path, objective, self._optimizer, self.average)
            self.clock.resume(state)
        self.first = self.clock.step
        self.skipping = Skipping(fabric.device, settings.not_finite, state)
        self._pairs = followed(self.average, objective)

    def trial(self, batch: tuple[torch.Tensor, ...]) -> None:
        """Go through a step that changes no weight, to see what memory it takes."""
        self.fabric.backward(self._model(*batch)["loss"])
        self._wrapped.zero_grad(set_to_none=True)

    def weights_still_to_come(self) -> int:
        """Bytes of the optimizer's moments where there has been no step yet."""
        if self._optimizer.state_dict()["state"]:
            return 0
        return 2 * sum(weight.nbytes for weight in self._weights)

    def step(self, batch: tuple[torch.Tensor, ...], journal: Journal | None) -> None:
        """Train on one batch and write down how it went."""
        clock, settings = self.clock, self.settings
        lr = settings.lr * clock.factor()
        for group, share in zip(self._optimizer.param_groups, self._shares, strict=True):
            group["lr"] = lr * share
        metrics = self._model(*batch)
        self.fabric.backward(metrics["loss"])
        norm = nn.utils.clip_grad_norm_(self._weights, settings.clip)
        # The optimizer's own kernel reads this: nothing waits for the card to decide.
        self._optimizer.found_inf = self.skipping.look(norm)  # pyright: ignore[reportAttributeAccessIssue]
        # Reading a loss waits for the graphics card, so it is not done at every step.
        if clock.step % settings.log_every == 0:
            values = told({**processes.mean_of(metrics), "grad_norm": norm.detach()})
            values |= {"lr": lr, "seconds": round(clock.seconds(), 3)}
            values |= self.skipping.counted()
            self._check_going(values)
            if journal is not None:
                journal.write(clock.step, {k: v for k, v in values.items() if math.isfinite(v)})
                journal.show(clock.step + 1, clock.share(), values["loss"])
        self._wrapped.step()
        self._wrapped.zero_grad(set_to_none=True)
        self._follow()
        clock.step += 1

    def agreed(self, flag: bool) -> bool:
        """Whether any process raises the flag, so that all of them do the same thing next.

        Several processes ask one another only where they wait for one another anyhow: at steps
        that are logged. Between those the answer is no.
        """
        if self.fabric.world_size == 1:
            return flag
        if self.clock.step % self.settings.log_every:
            return False
        raised = torch.tensor(float(flag), device=self.fabric.device)
        return bool(torch.as_tensor(self.fabric.all_reduce(raised, reduce_op="sum")).item() > 0)

    def save(self) -> None:
        """Write a checkpoint; every process waits for it."""
        self._check_going({"loss": math.nan})
        self._check_state()
        if self.fabric.is_global_zero:
            state = self.clock.state() | self.skipping.state()
            save_checkpoint(self._path, self.objective, self._optimizer, self.average, state)
        self.fabric.barrier()
        self.clock.saved()

    def _follow(self) -> None:
        """Move the running average; quickly at first, as the first weights are worth little."""
        decay = min(self.settings.average, (1 + self.clock.step) / (10 + self.clock.step))
        moved, current, copied, whole = self._pairs
        torch._foreach_lerp_(moved, current, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for value, now in zip(copied, whole, strict=True):
            value.copy_(now)

    def _check_going(self, values: dict[str, float]) -> None:
        """Stop where steps are skipped again and again."""
        if self.skipping.hopeless():
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            found = f"{bad[0]} = {values[bad[0]]}" if bad else "a gradient that is not"
            raise InputError(
                "training.not_finite",
                f"Expected finite numbers, found {found} at step {self.clock.step} in {self.run}, "
                f"and {self.skipping.most} steps in a row that had to be skipped; the last "
                "checkpoint is from before.",
                "Start again in another --run with a smaller --lr or --precision 32-true.",
            )

    def _check_state(self) -> None:
        """Stop before what a network counts by itself, such as means, is kept where it is spoilt."""
        values = [v for v in self.objective.state_dict().values() if v.is_floating_point()]
        sums = torch.stack([value.detach().double().sum() for value in values])
        if not sums.isfinite().all():
            raise InputError(
                "training.not_finite",
                f"Expected finite weights and statistics at step {self.clock.step} in {self.run}, "
                "found others; the last checkpoint is from before.",
                "Start again in another --run with a smaller --lr or --precision 32-true.",
            )


def told(metrics: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Read scalars, all with one wait for the device."""
    values = torch.stack([value.detach().float() for value in metrics.values()])
    return dict(zip(metrics, values.tolist(), strict=True))


def followed(
    average: Mapping[str, torch.Tensor], objective: nn.Module
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Averages that are moved, what towards; averages that are copied, what from."""
    current = objective.state_dict()
    floats = [name for name, value in average.items() if value.is_floating_point()]
    others = [name for name in average if name not in set(floats)]
    return (
        [average[name] for name in floats],
        [current[name] for name in floats],
        [average[name] for name in others],
        [current[name] for name in others],
    )


def by_share(objective: nn.Module, shares: Mapping[str, float]) -> dict[float, list[nn.Parameter]]:
    """The weights that need a gradient, by their share of the learning rate.

    Arguments:
        objective: What is trained.
        shares: Beginnings of names with a share other than 1; the first that fits counts.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weight in objective.named_parameters():
        if weight.requires_grad:
            share = next((shares[start] for start in shares if name.startswith(start)), 1.0)
            groups.setdefault(share, []).append(weight)
    return groups
