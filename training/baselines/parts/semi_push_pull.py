"""Losses on likelihoods that push anomalies away, but only up to a margin.

Yao et al., "Explicit Boundary Guided Semi-Push-Pull Contrastive Learning for Supervised Anomaly
Detection", CVPR 2023 (BG-SPP, with its focal weights), and the two others that SimpleSliceNet puts
beside it. All take log p for each channel, of normal and of anomalous features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def boundary(normal: Tensor, beta: float) -> Tensor:
    """The likelihood that a share `beta` of normal features falls below; it has no gradient.

    Arguments:
        normal: log p, `(n,)`.
        beta: 0 to 1.
    """
    ordered = normal.detach().sort().values
    return ordered[min(int(beta * len(ordered)), len(ordered) - 1)]


def boundary_guided(
    normal: Tensor,
    anomalous: Tensor,
    beta: float,
    margin: float,
    scale: float,
    weights: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """BG-SPP: normal features below the boundary are pulled up, anomalies pushed below it.

    Means are taken over those on the wrong side alone, as in the authors' code.

    Arguments:
        normal: log p, `(n,)`.
        anomalous: log p, `(m,)`.
        beta: Share of normal features below the boundary.
        margin: Between the boundary and the anomalies.
        scale: What likelihoods are divided by first.
        weights: Of the normal and of the anomalous features.
    """
    limit = boundary(normal, beta) / scale
    pull, push = limit - normal / scale, anomalous / scale - (limit - margin)
    parts = []
    for off, weight in zip((pull, push), weights or (None, None), strict=True):
        wrong = off >= 0
        lost = off if weight is None else off * weight
        parts.append((lost * wrong).sum() / wrong.sum().clamp(min=1))
    return parts[0] + parts[1]


def triplet(normal: Tensor, anomalous: Tensor, order: Tensor, margin: float = 1.0) -> Tensor:
    """Triplet loss: anchor and positive are normal features, the negative is an anomalous one.

    Row by row each feature is a sample. (SimpleSliceNet's code gives whole batches to a loss that
    takes them for one sample each; see `triplet_of_batches`.)

    Arguments:
        normal: log p, `(n,)`.
        anomalous: log p, `(n,)`.
        order: The positive of each anchor, int64, `(n,)`.
        margin: How much farther the negative has to be.
    """
    near, far = (normal - normal[order]).abs(), (normal - anomalous).abs()
    return F.relu(near - far + margin).mean()


def triplet_of_batches(
    normal: Tensor, anomalous: Tensor, order: Tensor, margin: float = 1.0
) -> Tensor:
    """The same with the whole batch as one sample: distances are those of vectors of all rows."""
    near, far = (normal - normal[order]).norm(), (normal - anomalous).norm()
    return F.relu(near - far + margin)


def ranking(normal: Tensor, anomalous: Tensor, margin: float = 1.0) -> Tensor:
    """Pair-wise ranking loss: a normal feature is to be likelier than an anomalous one by a margin.

    Arguments:
        normal: log p, `(n,)`.
        anomalous: log p, `(n,)`.
        margin: By how much.
    """
    return F.relu(margin - (normal - anomalous)).mean()


def focal_normal(likely: Tensor, scale: float) -> Tensor:
    """Weights of normal features: 1, more where they are unlikely (BGAD's numbers)."""
    level = likely.detach() / scale
    weight = 11.7 * (1 - level.exp()).clamp(min=0) ** 0.5 * level.abs()
    return torch.where(level > -0.2, 1.0, weight)


def focal_anomalous(likely: Tensor, scale: float) -> Tensor:
    """Weights of anomalous features: 1, more where they are likely (BGAD's numbers)."""
    level = likely.detach() / scale
    weight = 0.53 * (1 + level.exp()) ** 2 / level.abs().clamp(min=1e-3)
    return torch.where(level > -1.0, weight, 1.0)
