"""What changes while a training runs, on one process: weights, their average, the optimizer."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import nn

from ctscreener.errors import InputError
from training.loop import processes
from training.loop.checkpoint import load_checkpoint, save_checkpoint
from training.loop.journal import Journal
from training.loop.schedule import Clock, LoopSettings


class Session:
    """A training between two steps.

    Arguments:
        fabric: Device and precision.
        objective: What is trained.
        run: The run folder, from whose checkpoint the session goes on.
        settings: How to train.
        shares: Which weights learn more slowly, see `training.loop.task.Task`.
    """

    def __init__(
        self,
        fabric: Fabric,
        objective: nn.Module,
        run: Path,
        settings: LoopSettings,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.fabric, self.objective, self.run, self.settings = fabric, objective, run, settings
        self.clock = Clock(settings)
        self._path = run / "checkpoint.safetensors"
        groups = by_share(objective, shares or {})
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
        # Not finite as soon as one loss or gradient was not.
        self._doubt = torch.zeros((), device=fabric.device)
        objective.train()
        self._model, self._wrapped = fabric.setup(objective, self._optimizer)
        self.average = {k: v.detach().clone() for k, v in objective.state_dict().items()}
        if self._path.exists():
            self.clock.resume(
                load_checkpoint(self._path, objective, self._optimizer, self.average)
            )

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
        self._doubt += 0 * (metrics["loss"].detach() + norm)
        # Reading a loss waits for the graphics card, so it is not done at every step.
        if clock.step % settings.log_every == 0:
            means = processes.mean_of(metrics)
            values = {name: value.item() for name, value in means.items()}
            values |= {"grad_norm": norm.item(), "lr": lr, "seconds": round(clock.seconds(), 3)}
            self._check_finite(values)
            if journal is not None:
                journal.write(clock.step, values)
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
