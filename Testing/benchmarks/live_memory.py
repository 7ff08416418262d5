"""How much memory a step takes, without taking it: tensors that have a shape but no values."""

import weakref
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(  # noqa: ANN204 - anything that torch computes
        self,
        func: Callable,
        types: object,
        args: tuple = (),
        kwargs: dict | None = None,
    ):
        """Run an operation and count what it made."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf)
        return out

    def count(self, tensor: torch.Tensor) -> None:
        """Count a tensor's memory, once however many tensors share it."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.forget, key, size)

    def forget(self, key: int, size: int) -> None:
        """A tensor's memory is free again."""
        self._known.discard(key)
        self.now -= size


def step_bytes(
    objective: Callable[[], nn.Module],
    batch: Callable[[], tuple[torch.Tensor, ...]],
    reduced: bool,
    fake: bool = True,
) -> int:
    """The most bytes of tensors in one step, with AdamW's moments and the running average.

    Workspace of the card's libraries and what is lost between blocks come on top.

    Arguments:
        objective: Builds the objective.
        batch: Builds the batch.
        reduced: Networks in bfloat16.
        fake: Compute nothing; an objective whose shapes depend on values has to compute.
    """
    live = Live()
    with FakeTensorMode() if fake else nullcontext(), live:
        module = objective()
        weights = sum(weight.nbytes for weight in module.parameters())
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            loss = module(*batch())["loss"]
        loss.backward()
    return live.peak + 3 * weights
