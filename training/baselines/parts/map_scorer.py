"""A rival that gives every voxel of a tile a score."""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from ctscreener.scorer import TiledScorer
from training.baselines.tiling import Tiling


class MapScorer(TiledScorer[Tiling]):
    """Scores a tile voxel by voxel, whatever its place.

    Arguments:
        tiling: How it sees scans.
    """

    def __init__(self, tiling: Tiling) -> None:
        super().__init__()
        self.settings = tiling

    @abstractmethod
    def voxels(self, x: Tensor) -> Tensor:
        """Scores of tiles.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.

        Returns:
            Higher is rarer, `(B, 1, D, H, W)`.
        """

    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Scores averaged over blocks; see `TiledScorer`."""
        pooled = F.avg_pool3d(self.voxels(x).float(), self.settings.pool)[:, 0]
        return torch.where(where, pooled, torch.nan)
