"""A Gaussian of full covariance, fitted in closed form to rows that come piece by piece."""

import math

import torch
from torch import Tensor, nn


class Moments:
    """Count, sum and products of rows, in float64.

    Arguments:
        channels: Numbers in a row.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.total = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Add rows `(n, channels)`."""
        rows = rows.double().cpu()
        self.count += len(rows)
        self.total += rows.sum(dim=0)
        self.products += rows.T @ rows

    def mean(self) -> Tensor:
        """The mean, float64, `(channels,)`."""
        return self.total / max(1, self.count)

    def covariance(self) -> Tensor:
        """The covariance of the likeliest Gaussian, float64, `(channels, channels)`."""
        mean = self.mean()
        return self.products / max(1, self.count) - mean[:, None] * mean


class Gaussian(nn.Module):
    """How unlikely rows are.

    Arguments:
        channels: Numbers in a row.
    """

    mean: Tensor
    whiten: Tensor
    constant: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("whiten", torch.eye(channels))
        self.register_buffer("constant", torch.zeros(()))

    def fit(self, moments: Moments, shrink: float) -> None:
        """Take mean and covariance of rows.

        Arguments:
            moments: Of all rows.
            shrink: Share of the mean variance that is added to every variance, so that channels
                that hang on one another leave a covariance that can be inverted.
        """
        covariance = moments.covariance()
        variance = covariance.diagonal().mean().clamp(min=1e-12)
        covariance = covariance + shrink * variance * torch.eye(len(covariance))
        root = torch.linalg.cholesky(covariance)
        identity = torch.eye(len(root), dtype=root.dtype)
        self.mean.copy_(moments.mean())
        self.whiten.copy_(torch.linalg.solve_triangular(root, identity, upper=False))
        half = len(root) / 2 * math.log(2 * math.pi)
        self.constant.copy_(root.diagonal().log().sum() + half)

    def nll(self, rows: Tensor) -> Tensor:
        """-log p in nats, float32.

        Arguments:
            rows: `(..., channels)`.
        """
        with torch.autocast(rows.device.type, enabled=False):
            white = (rows.float() - self.mean) @ self.whiten.T
            return 0.5 * white.square().sum(dim=-1) + self.constant
