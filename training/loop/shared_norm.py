"""Batch normalization over the batches of all processes, so that several are as one.

torch's own of this kind needs graphics cards; this one needs only sums over processes.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.loop import processes


def share_statistics(objective: nn.Module) -> None:
    """Let every batch norm of a module that trains take its statistics over all processes.

    Weights, buffers and names stay; so does what a norm does in evaluation. Where there is one
    process, nothing changes.

    Arguments:
        objective: What is trained; every process sees inputs of the same shapes.
    """
    if processes.count() == 1:
        return
    for part in objective.modules():
        if isinstance(part, _BatchNorm):
            part.forward = partial(_normalized, part)  # pyright: ignore[reportAttributeAccessIssue]


def _normalized(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Normalize `(B, C, ...)` by mean and variance of each channel over all processes."""
    if not norm.training:
        return type(norm).forward(norm, x)
    axes, channelwise = [0, *range(2, x.ndim)], (-1, *[1] * (x.ndim - 2))
    count = processes.count() * (x.numel() // x.shape[1])
    with torch.autocast(x.device.type, enabled=False):
        values = x.float()
        mean = processes.total(values.sum(axes)) / count
        apart = values - mean.reshape(channelwise)
        variance = processes.total(apart.square().sum(axes)) / count
        found = apart * torch.rsqrt(variance + norm.eps).reshape(channelwise)
        if norm.affine:
            found = found * norm.weight.reshape(channelwise) + norm.bias.reshape(channelwise)
        _follow(norm, mean, variance * (count / max(1, count - 1)))
    return found.to(x.dtype)


@torch.no_grad()
def _follow(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, as torch does: by the momentum, or to the mean of all steps."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = norm.momentum
    weight = 1 / norm.num_batches_tracked if share is None else torch.full_like(mean[0], share)
    norm.running_mean.lerp_(mean, weight)
    norm.running_var.lerp_(variance, weight)
