"""Losses that compare two views of the same voxels, and the heads that they are taken on."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


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
        variance = covariance = first.new_zeros(())
        for view in (first, second):
            centred = view - view.mean(dim=0)
            spread = (centred.square().sum(dim=0) / (len(view) - 1) + settings.epsilon).sqrt()
            variance = variance + share * functional.relu(1 - spread).mean()
            covariance = covariance + share * _off_diagonal(centred)
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


def _off_diagonal(centred: torch.Tensor) -> torch.Tensor:
    """Sum the squared covariances of different channels, over the number of channels.

    The diagonal is subtracted rather than masked out.
    """
    scaled = centred / (len(centred) - 1) ** 0.5
    everything = _SquaredGram.apply(scaled)
    return (everything - scaled.square().sum(dim=0).square().sum()) / scaled.shape[1]


class _SquaredGram(torch.autograd.Function):
    """The squared Frobenius norm of X'X, the same as that of XX': the smaller is computed.

    Its gradient 4XX'X takes one product of matrices where automatic differentiation takes two.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's own
        ctx.wide = x.shape[1] > x.shape[0]
        gram = x @ x.T if ctx.wide else x.T @ x
        ctx.save_for_backward(x, gram)
        return gram.square().sum()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        x, gram = ctx.saved_tensors
        return 4 * grad_outputs[0] * (gram @ x if ctx.wide else x @ gram)


def info_nce(
    first: torch.Tensor, second: torch.Tensor, temperature: float = 0.1, chunk: int = 2048
) -> dict[str, torch.Tensor]:
    """Compute InfoNCE in its NT-Xent form (Chen et al. 2020), in float32.

    A voxel's other view is its positive; both views of all other voxels are its negatives. Rows
    of the similarity matrix are made `chunk` at a time and made again on the way back, so that
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
        both = functional.normalize(torch.cat([first, second]).float(), dim=1)
        count = len(both)
        total = both.new_zeros(())
        chunks = torch.arange(count, device=both.device).split(chunk)
        if len(chunks) == 1:
            return {"loss": _nce_rows(both, chunks[0], temperature) / count}
        for rows in chunks:
            total = total + checkpoint(_nce_rows, both, rows, temperature, use_reentrant=False)
    return {"loss": total / count}


def _nce_rows(both: torch.Tensor, rows: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sum -log p(positive) over some rows of the similarity matrix."""
    count = len(both)
    logits = (both[rows] / temperature) @ both.T
    # A voxel is no negative of itself.
    logits = logits.scatter(1, rows[:, None], float("-inf"))
    return functional.cross_entropy(logits, (rows + count // 2) % count, reduction="sum")
