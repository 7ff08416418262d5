"""Losses that compare two views of the same voxels, and the heads that they are taken on.

Where several processes train together, their voxels count as one batch: statistics are taken, and
negatives come from, all of it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from training.loop import processes


@dataclass(frozen=True)
class VicregSettings:
    """Weights of VICReg (Bardes et al. 2022)."""

    invariance: float = 25.0
    """Weight of the squared distance of the two views."""
    variance: float = 25.0
    """Weight of the hinge that keeps every channel's standard deviation above 1."""
    covariance: float = 1.0
    """Weight of the squared covariances of different channels."""
    reduction: Literal["mean", "sum"] = "mean"
    """Variance and covariance terms: mean over the two views (the authors' code) or sum (the
    formula in the paper)."""
    epsilon: float = 1e-4
    """Added to every variance under the root."""


class Expander(nn.Module):
    """The three-layer head that VICReg is taken on.

    Arguments:
        channels: Channels of a descriptor.
        width: Channels of all three layers.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, width, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Expand descriptors, `(..., channels)`, to `(..., width)`."""
        return self.layers(x)


class Projector(nn.Module):
    """The three-layer head that InfoNCE is taken on.

    Arguments:
        channels: Channels of a descriptor.
        width: Channels of the two hidden layers.
        out: Channels of the result.
    """

    def __init__(self, channels: int, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, out, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Project descriptors, `(..., channels)`, to `(..., out)`."""
        return self.layers(x)


def vicreg(
    first: torch.Tensor, second: torch.Tensor, settings: VicregSettings
) -> dict[str, torch.Tensor]:
    """Compute VICReg of two views, in float32.

    Arguments:
        first: Expanded descriptors of the first view, `(N, D)`.
        second: The same voxels in the second view, `(N, D)`.
        settings: The weights.

    Returns:
        `loss`, and its unweighted parts `invariance`, `variance` and `covariance`.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = first.float(), second.float()
        invariance = functional.mse_loss(first, second)
        share = 0.5 if settings.reduction == "mean" else 1.0
        count = len(first) * processes.count()
        variance = covariance = first.new_zeros(())
        for view in (first, second):
            centred = view - processes.total(view.sum(dim=0)) / count
            square = processes.total(centred.square().sum(dim=0)) / (count - 1)
            spread = (square + settings.epsilon).sqrt()
            variance = variance + share * functional.relu(1 - spread).mean()
            covariance = covariance + share * _off_diagonal(centred, square)
        loss = (
            settings.invariance * invariance
            + settings.variance * variance
            + settings.covariance * covariance
        )
    return {
        "loss": loss,
        "invariance": invariance.detach(),
        "variance": variance.detach(),
        "covariance": covariance.detach(),
    }


def _off_diagonal(centred: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Sum the squared covariances of different channels, over the number of channels.

    The diagonal is subtracted rather than masked out.
    """
    scaled = centred / (len(centred) * processes.count() - 1) ** 0.5
    return (_SquaredGram.apply(scaled) - variance.square().sum()) / scaled.shape[1]


class _SquaredGram(torch.autograd.Function):
    """The squared Frobenius norm of X'X, the same as that of XX': the smaller is computed.

    X are the rows of all processes. Each computes its share of X'X, which is summed, or its rows
    of XX'. The gradient 4XX'X takes one product of matrices where automatic differentiation
    takes two.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's own
        ctx.wide = x.shape[1] > x.shape[0] * processes.count()
        if ctx.wide:
            everyone = processes.gathered(x).flatten(0, 1)
            gram = x @ everyone.T
            ctx.save_for_backward(everyone, gram)
            return processes.total(gram.square().sum())
        gram = processes.total(x.T @ x)
        ctx.save_for_backward(x, gram)
        return gram.square().sum()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        x, gram = ctx.saved_tensors
        scale = 4 * processes.total(grad_outputs[0])
        return scale * (gram @ x if ctx.wide else x @ gram)


def info_nce(
    first: torch.Tensor, second: torch.Tensor, temperature: float = 0.1, chunk: int = 2048
) -> dict[str, torch.Tensor]:
    """Compute InfoNCE in its NT-Xent form (Chen et al. 2020), in float32.

    A voxel's other view is its positive; both views of all other voxels are its negatives, those
    of the same scan and those of other scans. Rows of the similarity matrix are made `chunk` at
    a time and made again on the way back, so that
    the whole matrix never exists.

    Arguments:
        first: Projected descriptors of the first view, `(N, D)`.
        second: The same voxels in the second view, `(N, D)`.
        temperature: What the cosine similarities are divided by.
        chunk: Rows at a time.

    Returns:
        `loss`.
    """
    with torch.autocast(first.device.type, enabled=False):
        own = functional.normalize(torch.stack([first, second]).float(), dim=2)
        # All first views, then all second ones: (processes, 2, N, D) -> (2 * processes * N, D).
        both = processes.gathered(own).transpose(0, 1).flatten(0, 2)
        half, start = len(both) // 2, processes.rank() * len(first)
        mine = torch.arange(start, start + len(first), device=both.device)
        chunks = torch.cat([mine, mine + half]).split(chunk)
        if len(chunks) == 1:
            return {"loss": _nce_rows(both, chunks[0], temperature) / len(chunks[0])}
        total = both.new_zeros(())
        for rows in chunks:
            total = total + checkpoint(_nce_rows, both, rows, temperature, use_reentrant=False)
    return {"loss": total / (2 * len(first))}


def _nce_rows(both: torch.Tensor, rows: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sum -log p(positive) over some rows of the similarity matrix."""
    count = len(both)
    logits = (both[rows] / temperature) @ both.T
    # A voxel is no negative of itself.
    logits = logits.scatter(1, rows[:, None], float("-inf"))
    return functional.cross_entropy(logits, (rows + count // 2) % count, reduction="sum")
