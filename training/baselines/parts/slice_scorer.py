"""A rival that gives the features of slices a score, brought up to voxels."""

from abc import abstractmethod
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ctscreener.scorer import TiledScorer
from training.baselines.tiling import Tiling


class SliceScorer(TiledScorer[Tiling]):
    """Scores tiles on a grid that is as deep as they are, and coarser within the slice.

    Arguments:
        tiling: How it sees scans.
    """

    def __init__(self, tiling: Tiling) -> None:
        super().__init__()
        self.settings = tiling

    def ready(self, device: torch.device) -> Self:
        """Move to a device: convolutions of slices know no memory format of volumes."""
        return self.to(device).eval()

    @abstractmethod
    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Scores of the features of tiles.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.
            positions: Share of the body's box, `(B, 3, D, H, W)`.
            where: Which voxels to score, bool, `(B, D, H, W)`.

        Returns:
            Higher is rarer, `(B, D, H', W')`, NaN where nothing is scored.
        """

    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Scores brought up within each slice; see `TiledScorer`."""
        found = self.grid(x, positions, where).float()
        size, known = list(where.shape[2:]), found.isfinite()
        # Air beside the body must not pull its scores down.
        total = F.interpolate(torch.where(known, found, 0.0), size, mode="bilinear")
        weight = F.interpolate(known.float(), size, mode="bilinear")
        return torch.where(where & (weight > 0), total / weight, torch.nan)
