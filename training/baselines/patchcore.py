"""PatchCore: a bank of what healthy slices look like; what is far from all of it is rare.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022, slice by slice:
features of two stages of a network for photographs, averaged over 3x3; a bank of those that cover
the rest best (greedy k-centre on random projections); the distance to the nearest of them. Theirs
keeps a share of all features, here the bank has a size, as scans have millions; and a screening
needs no score of a whole picture, so that its reweighting has no place. `--reads` takes Screener's
own descriptors or the maps of a CT encoder in place of the features of slices.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from training.baselines.method import Method, RivalSettings
from training.baselines.parts.efficientnet import features_file
from training.baselines.parts.readers import READERS, ReaderSettings, sizes_read
from training.baselines.parts.slice_features import inside_of
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.parts.store_tiles import store_tiles
from training.baselines.tiling import Tiling
from training.data.store import Store
from training.flags import FLAT
from training.loop import processes

ROWS = 4096
"""Features that are compared with the bank at a time."""


@dataclass(frozen=True)
class PatchCoreSettings(RivalSettings):
    """Fill a bank from a store."""

    features: Annotated[ReaderSettings, FLAT] = field(default_factory=ReaderSettings)
    """Which features."""
    tile: Shape = (8, 192, 192)
    """Voxels seen at a time, along D, H, W."""
    tiles: int | None = 32
    """Tiles of each scan that are looked at, at most."""
    pool: int = 100_000
    """Features that the bank is chosen from, at most."""
    bank: int = 10_000
    """Features in the bank."""
    projection: int = 128
    """Numbers that features are projected to, to choose."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Bank(nn.Module):
    """Rows that others are compared with.

    Arguments:
        channels: Numbers in a row.
    """

    rows: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(0, channels))

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        *others: Any,  # noqa: ANN401 - torch's own
        **named: Any,  # noqa: ANN401
    ) -> None:
        """Take as many rows as there are."""
        if (rows := state_dict.get(prefix + "rows")) is not None:
            self.rows = torch.empty_like(rows)
        super()._load_from_state_dict(state_dict, prefix, *others, **named)

    def distance(self, rows: Tensor) -> Tensor:
        """The Euclidean distance of rows `(n, C)` to the nearest in the bank, `(n,)`."""
        with torch.autocast(rows.device.type, enabled=False):
            parts = [torch.cdist(some.float(), self.rows).amin(dim=1) for some in rows.split(ROWS)]
        return torch.cat(parts) if parts else rows.new_zeros(0)


class PatchCore(SliceScorer):
    """Scores by the distance to the bank.

    Arguments:
        settings: Which features.
        tiling: How it sees scans.
    """

    def __init__(self, settings: PatchCoreSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.reader = READERS[settings.features.reads](settings.features)
        self.bank = Bank(self.reader.channels)

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """The distances."""
        found = self.reader.rows(x)
        inside = inside_of(where, tuple(found.shape[1:4]))
        distances = torch.full(inside.shape, torch.nan, device=x.device)
        distances[inside] = self.bank.distance(found[inside])
        return self.reader.placed(distances, x.shape[2:])


def coreset(rows: Tensor, count: int, projection: int, generator: torch.Generator) -> Tensor:
    """Choose rows so that none of the others is far from all of them: greedy k-centre.

    Arguments:
        rows: `(n, C)`.
        count: How many; all where there are no more.
        projection: Numbers that rows are projected to by chance before distances are taken.
        generator: Decides projection and first row.

    Returns:
        Numbers of the rows, int64, `(count,)`.
    """
    if count >= len(rows):
        return torch.arange(len(rows), device=rows.device)
    device = rows.device
    if projection < rows.shape[1]:
        drawn = torch.randn(rows.shape[1], projection, generator=generator, device=device)
        rows = rows @ drawn / projection**0.5
    chosen = torch.empty(count, dtype=torch.int64, device=device)
    chosen[0] = torch.randint(len(rows), (), generator=generator, device=device)
    nearest = torch.full((len(rows),), torch.inf, device=device)
    squares = rows.square().sum(dim=1)
    for place in range(1, count):
        last = chosen[place - 1]
        distance = squares + squares[last] - 2 * (rows @ rows[last])
        nearest = torch.minimum(nearest, distance)
        nearest[last] = -torch.inf
        chosen[place] = nearest.argmax()
    return chosen


def files(settings: PatchCoreSettings) -> dict[str, Path]:
    """The file with the network's weights."""
    reads = settings.features
    return {
        "features": features_file(reads.slices.features) if reads.reads == "slices" else reads.file
    }


def build(settings: PatchCoreSettings, preprocess: PreprocessSettings) -> PatchCore:
    """Make an empty bank."""
    multiple = READERS[settings.features.reads](settings.features).multiple
    tiling = Tiling(preprocess, settings.tile, smooth=settings.smooth, multiple=multiple)
    return PatchCore(settings, tiling)


@torch.no_grad()
def settle(settings: PatchCoreSettings, rival: PatchCore, store: Store) -> None:
    """Fill the bank."""
    device = processes.device()
    rival.reader.load(settings.features)
    rival.reader.to(device)
    rng, kept = np.random.default_rng(settings.seed), []
    each = max(1, settings.pool // (len(store.names) * (settings.tiles or 32)))
    for x, _, where in store_tiles(store, rival.settings, rng, settings.tiles):
        found = rival.reader.rows(x.to(device))
        rows = found[inside_of(where.to(device), tuple(found.shape[1:4]))].cpu()
        kept.append(rows[torch.from_numpy(rng.permutation(len(rows))[:each])])
    rows = torch.cat(kept)[: settings.pool].to(device)
    generator = torch.Generator(device).manual_seed(settings.seed)
    rival.bank.rows = rows[coreset(rows, settings.bank, settings.projection, generator)].cpu()
    rival.cpu()


PRESETS = {
    "tiny": PatchCoreSettings(tiles=6, pool=8_000, bank=1_000),
    "small": PatchCoreSettings(),
    # Roth et al.: a tenth or a hundredth of all features of some 200 pictures.
    "paper": PatchCoreSettings(tiles=None, pool=1_000_000, bank=50_000),
}
METHOD = Method(
    "PatchCore, Roth et al. 2022 by slices: the distance to a bank of features of photographs",
    PatchCoreSettings,
    PRESETS,
    build,
    settle=settle,
    files=files,
    completed=lambda settings: replace(
        settings, features=replace(settings.features, **sizes_read(settings.features))
    ),
    plain=lambda settings: settings.features.plain,
)
