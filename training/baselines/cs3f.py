"""CS3F: what has no counterpart in other scans, by features of slices along three axes.

Le-Gia, "Toward Training-Free Zero-Shot Anomaly Detection in 3D Medical Images: A Batch-Based
Approach Using 2D Foundation Models", arXiv 2606.18749, after Le-Gia and Ahn, arXiv 2602.15315: of
these only the abstracts could be read, so that sizes are ours. Nothing is trained. A scan is cut
into slices along all three axes; a network for photographs describes each, and features of
neighbouring slices are averaged into those of cubes. A cube is scored by its distance to the nearest
cube of each other scan, averaged over the scans that have the nearest ones: those of the store,
which may hold lesions, as anything rare has no counterpart in most of them (mutual scoring, Li et
al., "MuSc", ICLR 2024). Coarse to fine: coarse cubes find their counterparts first, and fine cubes
are compared with those inside of these alone.

Theirs is a vision transformer with patches of 14 pixels; here it is EfficientNet-Lite0, whose maps
are brought to the cubes' grid. Features are projected by chance to fewer numbers to be kept.
"""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from training.baselines.method import Method, RivalSettings
from training.baselines.parts.efficientnet import features_file
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.parts.store_tiles import store_tiles
from training.baselines.tiling import Tiling
from training.data.store import Store
from training.flags import FLAT
from training.loop import processes

ROWS = 2048
"""Coarse cubes that are compared with a scan at a time."""
AXES = ((2, 3, 4), (3, 2, 4), (4, 2, 3))
"""Axes of a tile, the one that is cut across first."""


@dataclass(frozen=True)
class Cs3fSettings(RivalSettings):
    """Keep the cubes of a store's scans."""

    features: Annotated[FeatureSettings, FLAT] = field(
        default_factory=lambda: FeatureSettings(groups=(2, 4), zoom=1)
    )
    """Which features of slices."""
    tile: Shape = (32, 96, 96)
    """Voxels seen at a time, along D, H, W."""
    fine: Shape = (4, 4, 4)
    """Voxels of a fine cube."""
    coarse: int = 2
    """Fine cubes along the side of a coarse one."""
    projection: int = 64
    """Numbers that features are projected to."""
    others: int = 32
    """Scans that are kept, at most."""
    tiles: int | None = None
    """Tiles of each scan that are kept, at most."""
    near: int = 4
    """Coarse cubes of a scan whose fine ones are compared."""
    share: float = 0.3
    """Share of the scans that a score is averaged over: those with the nearest cubes."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Cubes(nn.Module):
    """The cubes of other scans, coarse and fine.

    Arguments:
        channels: Numbers of a feature.
        parts: Fine cubes in a coarse one.
    """

    coarse: Tensor
    fine: Tensor
    scan: Tensor

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.register_buffer("coarse", torch.zeros(0, channels, dtype=torch.float16))
        self.register_buffer("fine", torch.zeros(0, parts, channels, dtype=torch.float16))
        self.register_buffer("scan", torch.zeros(0, dtype=torch.int64))

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        *others: object,
        **named: object,
    ) -> None:
        """Take as many cubes as there are."""
        for name in ("coarse", "fine", "scan"):
            if (kept := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(kept))
        super()._load_from_state_dict(state_dict, prefix, *others, **named)  # pyright: ignore[reportArgumentType]

    def distances(self, coarse: Tensor, fine: Tensor, near: int, share: float) -> Tensor:
        """How far fine cubes are from their counterparts.

        Arguments:
            coarse: `(n, C)`.
            fine: Those inside of each, `(n, parts, C)`.
            near: Coarse cubes of a scan that are looked into.
            share: Share of the scans that distances are averaged over.

        Returns:
            `(n, parts)`; NaN where no scan is kept.
        """
        names = self.scan.unique()
        found = [self._to_scan(coarse, fine, self.scan == name, near) for name in names]
        if not found:
            return torch.full(fine.shape[:2], torch.nan, device=fine.device)
        kept = max(1, int(share * len(found)))
        return torch.stack(found).topk(kept, dim=0, largest=False).values.mean(dim=0)

    def _to_scan(self, coarse: Tensor, fine: Tensor, own: Tensor, near: int) -> Tensor:
        """The distance of each fine cube to the nearest of one scan, `(n, parts)`."""
        others, inside = self.coarse[own].float(), self.fine[own].float()
        count = min(near, len(others))
        parts = []
        for some, small in zip(coarse.split(ROWS), fine.split(ROWS), strict=True):
            at = torch.cdist(some, others).topk(count, dim=1, largest=False).indices
            parts.append(torch.cdist(small, inside[at].flatten(1, 2)).amin(dim=2))
        return torch.cat(parts) if parts else fine.new_zeros(fine.shape[:2])


class Cs3f(SliceScorer):
    """Scores by the distance to counterparts in other scans.

    Arguments:
        settings: Which features and cubes.
        tiling: How it sees scans.
    """

    projection: Tensor

    def __init__(self, settings: Cs3fSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.describe = SliceFeatures(settings.features)
        self.asked = settings
        width = len(AXES) * sum(self.describe.channels)
        generator = torch.Generator().manual_seed(settings.seed)
        drawn = torch.randn(width, settings.projection, generator=generator)
        self.register_buffer("projection", drawn / settings.projection**0.5)
        self.cubes = Cubes(settings.projection, settings.coarse**3)

    @torch.no_grad()
    def tokens(self, x: Tensor) -> Tensor:
        """Features of fine cubes, `(B, D', H', W', projection)`, of tiles `(B, 1, D, H, W)`."""
        d, h, w = (n // m for n, m in zip(x.shape[2:], self.asked.fine, strict=True))
        views = []
        for axes in AXES:
            cut = x.permute(0, 1, *axes)
            first, second, third = ((d, h, w)[axis - 2] for axis in axes)
            sizes = (first, second, third)
            volumes = [
                level.unflatten(0, (len(x), -1)).transpose(1, 2)
                for level in self.describe.maps(cut)
            ]
            parts = [F.adaptive_avg_pool3d(level, sizes) for level in volumes]
            # Unit length: an axis or a stage with larger numbers would drown the others.
            joined = F.normalize(torch.cat(parts, dim=1), dim=1)
            back = [2 + axes.index(axis) for axis in (2, 3, 4)]
            views.append(joined.permute(0, *back, 1))
        return torch.cat(views, dim=-1) @ self.projection

    def both(self, x: Tensor, where: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coarse cubes that hold body, the fine ones inside of each, and where they lie.

        Returns:
            `(n, C)`, `(n, parts, C)`, and bool, `(B, D / coarse, ...)` of the fine cubes' grid.
        """
        side, found = self.asked.coarse, self.tokens(x)
        blocks = found.unflatten(3, (-1, side)).unflatten(2, (-1, side)).unflatten(1, (-1, side))
        blocks = blocks.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6)
        inside = inside_of(where, tuple(blocks.shape[1:4]))
        fine = blocks[inside]
        return fine.mean(dim=1), fine, inside

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """The distances of fine cubes."""
        coarse, fine, inside = self.both(x, where)
        found = self.cubes.distances(coarse, fine, self.asked.near, self.asked.share)
        side = self.asked.coarse
        scores = torch.full((*inside.shape, side**3), torch.nan, device=x.device)
        scores[inside] = found
        scores = scores.unflatten(4, (side,) * 3).permute(0, 1, 4, 2, 5, 3, 6)
        return scores.flatten(5, 6).flatten(3, 4).flatten(1, 2)


def build(settings: Cs3fSettings, preprocess: PreprocessSettings) -> Cs3f:
    """Make one that knows no other scan."""
    d, h, w = (settings.coarse * side for side in settings.fine)
    tiling = Tiling(preprocess, settings.tile, smooth=settings.smooth, multiple=(d, h, w))
    return Cs3f(settings, tiling)


@torch.no_grad()
def settle(settings: Cs3fSettings, rival: Cs3f, store: Store) -> None:
    """Keep the cubes of the scans of a store."""
    device = processes.device()
    rival.describe.load(settings.features)
    rival.to(device)
    rng = np.random.default_rng(settings.seed)
    names = store.names[: settings.others]
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, name in enumerate(names):
        for x, _, where in store_tiles(store.alone([name]), rival.settings, rng, settings.tiles):
            coarse, fine, _ = rival.both(x.to(device), where.to(device))
            scan = torch.full((len(coarse),), number)
            kept.append((coarse.half().cpu(), fine.half().cpu(), scan))
    rival.cpu()
    cubes = rival.cubes
    cubes.coarse, cubes.fine, cubes.scan = (torch.cat(part) for part in zip(*kept, strict=True))


PRESETS = {
    "tiny": Cs3fSettings(projection=32, others=8, tiles=6),
    "small": Cs3fSettings(others=32),
    "paper": Cs3fSettings(features=FeatureSettings(groups=(2, 4), zoom=2), others=128),
}
METHOD = Method(
    "CS3F, Le-Gia 2026: cubes of slice features that have no counterpart in other scans; no training",
    Cs3fSettings,
    PRESETS,
    build,
    settle=settle,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
