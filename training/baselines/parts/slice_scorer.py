"""A rival that gives features on a coarser grid a score, brought up to voxels."""

from abc import abstractmethod
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from ctscreener.scorer import TiledScorer
from training.baselines.tiling import Tiling


class SliceScorer(TiledScorer[Tiling]):
    """Scores tiles on a coarser grid; that of features of slices is as deep as they are.

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
            Higher is rarer, `(B, D', H', W')`, NaN where nothing is scored.
        """

    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Scores brought up linearly; see `TiledScorer`."""
        return brought_up(self.grid(x, positions, where).float(), where)


def brought_up(found: Tensor, where: Tensor) -> Tensor:
    """Scores at voxels from those of a coarser grid, linearly.

    Arguments:
        found: `(B, D', H', W')`, NaN where there is none.
        where: Which voxels to score, bool, `(B, D, H, W)`.
    """
    size, known = list(where.shape[1:]), found.isfinite()
    # Air beside the body must not pull its scores down.
    both = torch.stack([torch.where(known, found, 0.0), known.float()], dim=1)
    total, weight = F.interpolate(both, size, mode="trilinear").unbind(1)
    return torch.where(where & (weight > 0), total / weight, torch.nan)
