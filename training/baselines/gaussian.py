"""The full Gaussian: grey values around a voxel, or handcrafted channels, and how likely they are.

Screener's own step, without its networks: a marginal density of what a voxel looks like, in closed
form. The covariance is full, as between such channels all that matters hangs together
(Reed and Xiaoli, IEEE TASSP 1990, find anomalies in multispectral images so). What it cannot do
shows what learnt descriptors are worth.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from ctscreener.scorer import TiledScorer
from training.baselines.method import Method, RivalSettings
from training.baselines.parts.gaussian import Gaussian, Moments
from training.baselines.parts.store_tiles import store_tiles
from training.baselines.tiling import Tiling
from training.data.store import Store
from training.loop import processes

WIDTHS = (0.0, 1.0, 2.0, 4.0)
"""Standard deviations in voxels of the blurs of the handcrafted channels."""
REACH = 3
"""Standard deviations that a blur reaches."""


@dataclass(frozen=True)
class GaussianSettings(RivalSettings):
    """Fit a Gaussian of full covariance on the body voxels of a store."""

    features: Literal["channels", "patches"] = "channels"
    """`channels`: blurs of four widths, and the gradient and the Laplacian of three; `patches`:
    the 3x3x3 pooled voxels around each, and 3x3x3 at twice their distance."""
    tile: Shape = (64, 96, 96)
    """Voxels seen at a time, along D, H, W."""
    tiles: int | None = None
    """Tiles of each scan that are fitted at most."""
    shrink: float = 1e-3
    """Share of the mean variance that is added to every variance."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class FullGaussian(TiledScorer[Tiling]):
    """Scores by -log p of simple features.

    Arguments:
        settings: Which features.
        tiling: How it sees scans.
    """

    def __init__(self, settings: GaussianSettings, tiling: Tiling) -> None:
        super().__init__()
        self.settings = tiling
        self.features = channels if settings.features == "channels" else patches
        count = self.features(torch.zeros(1, 1, *tiling.tile), tiling.pool).shape[1]
        self.gaussian = Gaussian(count)

    def rows(self, x: Tensor) -> Tensor:
        """The features of tiles `(B, 1, D, H, W)`, `(B, d, h, w, C)`."""
        with torch.autocast(x.device.type, enabled=False):
            return self.features(x.float(), self.settings.pool).movedim(1, -1)

    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """How unlikely the features are."""
        return torch.where(where, self.gaussian.nll(self.rows(x)), torch.nan)


def channels(x: Tensor, pool: Shape) -> Tensor:
    """Blurs, lengths of gradients, and Laplacians, averaged over blocks.

    Arguments:
        x: `(B, 1, D, H, W)`.
        pool: Voxels of a block.

    Returns:
        `(B, 10, D / pool, H / pool, W / pool)`.
    """
    blurs = [blur(x, width) for width in WIDTHS]
    slopes, bends = [], []
    for smooth in blurs[1:]:
        wide = F.pad(smooth, (1,) * 6, mode="replicate")[:, 0]
        inner = smooth[:, 0]
        square, bend = torch.zeros_like(inner), torch.zeros_like(inner)
        for axis in (1, 2, 3):
            low, high = (_beside(wide, axis, step) for step in (0, 2))
            square = square + ((high - low) / 2) ** 2
            bend = bend + high + low - 2 * inner
        slopes.append(square.sqrt()[:, None])
        bends.append(bend[:, None])
    return F.avg_pool3d(torch.cat([*blurs, *slopes, *bends], dim=1), pool)


def _beside(wide: Tensor, axis: int, step: int) -> Tensor:
    """What lies a voxel aside along one axis, of a volume with a rim of one voxel."""
    cut = [slice(None)] + [
        slice(step if other == axis else 1, (step if other == axis else 1) + wide.shape[other] - 2)
        for other in (1, 2, 3)
    ]
    return wide[tuple(cut)]


def blur(x: Tensor, width: float) -> Tensor:
    """Blur by a Gaussian of so many voxels; edges are repeated, 0 changes nothing."""
    if not width:
        return x
    reach = int(np.ceil(REACH * width))
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-0.5 * (at / width) ** 2)
    weights = weights / weights.sum()
    for axis in range(3):
        sides = [2 * reach + 1 if axis == other else 1 for other in range(3)]
        rim = [reach if axis == other else 0 for other in (2, 2, 1, 1, 0, 0)]
        x = F.conv3d(F.pad(x, rim, mode="replicate"), weights.reshape(1, 1, *sides))
    return x


def patches(x: Tensor, pool: Shape) -> Tensor:
    """The pooled grey values around each block, at one and at two blocks' distance.

    Arguments:
        x: `(B, 1, D, H, W)`.
        pool: Voxels of a block.

    Returns:
        `(B, 53, D / pool, H / pool, W / pool)`.
    """
    pooled = F.avg_pool3d(x, pool)
    d, h, w = pooled.shape[2:]
    wide = F.pad(pooled, (2,) * 6, mode="replicate")
    near = list(product((-1, 0, 1), repeat=3))
    # The middle is counted once.
    offsets = dict.fromkeys([*near, *((2 * a, 2 * b, 2 * c) for a, b, c in near)])
    parts = [wide[:, :, 2 + a :][:, :, :d, 2 + b :][:, :, :, :h, 2 + c :] for a, b, c in offsets]
    return torch.cat([part[..., :w] for part in parts], dim=1)


def build(settings: GaussianSettings, preprocess: PreprocessSettings) -> FullGaussian:
    """Make a Gaussian that is fitted to nothing."""
    pool = preprocess.multiple
    return FullGaussian(settings, Tiling(preprocess, settings.tile, pool, settings.smooth))


@torch.no_grad()
def settle(settings: GaussianSettings, rival: FullGaussian, store: Store) -> None:
    """Fit the Gaussian."""
    device = processes.device()
    moments = Moments(len(rival.gaussian.mean))
    rng = np.random.default_rng(settings.seed)
    for x, _, where in store_tiles(store, rival.settings, rng, settings.tiles):
        moments.add(rival.rows(x.to(device))[where.to(device)])
    rival.gaussian.fit(moments, settings.shrink)


PRESETS = {
    "tiny": GaussianSettings(tiles=8),
    "small": GaussianSettings(),
    "paper": GaussianSettings(),
}
METHOD = Method(
    "Gaussian of full covariance on grey values or handcrafted channels, in closed form",
    GaussianSettings,
    PRESETS,
    build,
    settle=settle,
)
