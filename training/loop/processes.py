"""Several processes that train one model together, each on a batch of its own.

Every process computes a loss whose mean over the processes is that of the whole batch, and
distributed training averages the gradients of the weights. Sums and gathers over all processes
therefore pass gradients: with them a loss may depend on the whole batch, and its gradients are
those that one process would find with all of it.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor
from torch import distributed as dist

Item = TypeVar("Item")


def meet() -> None:
    """Bring the processes that torchrun has started together; later stages find them so.

    The first one may prepare scans for a day while the others wait.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=timedelta(days=2))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Part from the other processes at the end, however they have met.

    The threads of a group that is left to the end of the interpreter may run into it: a process was
    once aborted there after its work was done, which torchrun counts as failed. After an error
    nothing is waited for: the others may be waiting for this process, and are ended by who started
    them.
    """
    yield
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together; 1 where there is but this one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0; known before the processes have met."""
    if count() > 1:
        return dist.get_rank()
    return getattr(rank_zero_only, "rank", None) or 0


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return rank() == 0


def device() -> torch.device:
    """The graphics card of this process, or the processor where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def wait() -> None:
    """Wait until every process has come here."""
    if count() > 1:
        dist.barrier()


def shared(items: Sequence[Item]) -> list[Item]:
    """Those of some items that this process works on, where each is worked on by one.

    Example:
        >>> shared("abc")
        ['a', 'b', 'c']
    """
    return list(items[rank() :: count()])


def total(values: Tensor) -> Tensor:
    """Sum over all processes; gradients pass.

    Arguments:
        values: Of the same shape in every process.
    """
    return _Sum.apply(values) if count() > 1 else values


def gathered(values: Tensor) -> Tensor:
    """The values of all processes, by the number of the process; gradients pass.

    Arguments:
        values: Of the same shape in every process.

    Returns:
        `(processes, *values.shape)`.
    """
    return _Gather.apply(values) if count() > 1 else values[None]


def mean_of(metrics: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean over all processes of metrics by name, each a scalar; gradients do not pass."""
    if count() == 1:
        return metrics
    values = torch.stack([value.detach().float() for value in metrics.values()])
    dist.all_reduce(values)
    return dict(zip(metrics, values / count(), strict=True))


class _Sum(torch.autograd.Function):
    """Every process gets the sum, so the gradients of all of them flow back to each summand."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        summed = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:  # noqa: ANN401
        grad = grad_outputs[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        return grad


class _Gather(torch.autograd.Function):
    """Every process gets all values, so the gradients of all of them flow back to each."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        parts = [torch.empty_like(values) for _ in range(count())]
        dist.all_gather(parts, values.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:  # noqa: ANN401
        grad = grad_outputs[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        return grad[rank()]
