"""CFLOW: how likely features of slices are, given where they lie.

Gudovskiy et al., "CFLOW-AD: Real-Time Unsupervised Anomaly Detection with Localization via
Conditional Normalizing Flows", WACV 2022, slice by slice: one flow for each stage of a frozen
network for photographs, conditioned on sines and cosines of the position; the loss is
-log sigmoid(log p / C). It stands beside MSFlow, the paper's own row of ImageNet features with a
flow, whose code may not be used. The flow is Screener's own (act-norm, rotation, coupling), the
position a share of the body's box instead of the picture's; and maps are joined by the sum of
log p / C over stages, where theirs takes the sum of p over its maximum in the whole test set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.flow import Flow, FlowSettings
from ctscreener.preprocess import PreprocessSettings
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.efficientnet import features_file
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_rows import (
    LOOKS,
    SliceRows,
    Standard,
    by_volume,
    encode,
    places_of,
)
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.flags import FLAT
from training.loop import processes
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class CflowSettings(TrainedSettings):
    """Train CFLOW on a store."""

    features: Annotated[FeatureSettings, FLAT] = field(
        default_factory=lambda: FeatureSettings(groups=(1, 2, 4))
    )
    """Which features of slices."""
    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(8, 192, 192), count=2)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    rows: int = 4096
    """Features of each stage in one step."""
    flow: FlowSettings = field(default_factory=lambda: FlowSettings(blocks=8, hidden=256))
    """Sizes of each flow."""
    condition: int = 128
    """Sines and cosines of the position within the slice, a multiple of 4."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Cflow(SliceScorer):
    """Scores by -log p of the features of all stages.

    Arguments:
        settings: Sizes of the flows.
        tiling: How it sees scans.
    """

    def __init__(self, settings: CflowSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.describe = SliceFeatures(settings.features)
        self.condition = settings.condition
        generator = torch.Generator().manual_seed(settings.seed)
        widths = self.describe.channels
        self.standard = nn.ModuleList(Standard(width) for width in widths)
        self.flows = nn.ModuleList(
            Flow(width, settings.condition, settings.flow, generator) for width in widths
        )

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """The sum over stages of -log p for each channel, on the grid of the finest."""
        levels = by_volume(self.describe.maps(x), len(x))
        size = list(levels[0].shape[2:4])
        parts = []
        for level, standard, flow in zip(levels, self.standard, stages(self.flows), strict=True):
            shape = tuple(level.shape[1:4])
            inside, places = inside_of(where, shape), places_of(positions, shape)
            scores = torch.zeros(inside.shape, device=x.device)
            encoded = encode(places[inside], self.condition)
            scores[inside] = flow.nll(standard(level[inside]), encoded) / level.shape[-1]
            weight = F.interpolate(inside.float(), size, mode="bilinear")
            parts.append(F.interpolate(scores, size, mode="bilinear") / weight)
        total = torch.stack(parts).sum(dim=0)
        return torch.where(total.isfinite(), total, torch.nan)


def stages(flows: nn.ModuleList) -> list[Flow]:
    """The flows of a list, as what they are."""
    return [flow for flow in flows if isinstance(flow, Flow)]


class Decoders(nn.Module):
    """The flows with their loss.

    Arguments:
        flows: One for each stage.
    """

    def __init__(self, flows: nn.ModuleList) -> None:
        super().__init__()
        self.flows = flows

    def forward(self, *levels: Tensor) -> dict[str, Tensor]:
        """Fit standardized features `(n, C)` and conditions `(n, k)`, stage after stage."""
        likely = [
            -flow.nll(rows, condition) / rows.shape[1]
            for flow, rows, condition in zip(
                stages(self.flows), levels[::2], levels[1::2], strict=True
            )
        ]
        loss = torch.stack([-F.logsigmoid(one).mean() for one in likely]).mean()
        return {"loss": loss, "nll": -torch.stack([one.detach().mean() for one in likely]).mean()}


def build(settings: CflowSettings, preprocess: PreprocessSettings) -> Cflow:
    """Make untrained flows."""
    if settings.condition < 4 or settings.condition % 4:
        raise ValueError(f"a condition of {settings.condition} numbers is no multiple of 4")
    tiling = Tiling(preprocess, settings.patches.size, (1, 1, 1), settings.smooth)
    return Cflow(settings, tiling)


def phases(settings: CflowSettings, rival: Cflow, store: Store) -> Iterator[Phase]:
    """Train the flows on frozen features."""
    check_patches(settings.patches, (1,), settings.loop)
    rival.describe.load(settings.features)
    source = PatchSource(store, settings.patches, settings.seed)
    rows = SliceRows(source, rival.describe, settings.rows)
    standardized(rival, rows)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        batch: list[Tensor] = []
        levels = rows.levels(drawn, device)
        for (found, places), standard in zip(levels, rival.standard, strict=True):
            batch += [standard.to(device)(found), encode(places, settings.condition)]
        return tuple(batch)

    task = Task(Decoders(rival.flows), source.load, render, source.need(render))
    yield Phase("cflow", task, settings.loop)


def standardized(rival: Cflow, rows: SliceRows) -> None:
    """Take mean and deviation of each stage's features from a few batches."""
    device = processes.device()
    looks = [rows.levels(rows.source.load(index), device) for index in range(LOOKS)]
    for number, standard in enumerate(rival.standard):
        assert isinstance(standard, Standard)
        standard.fit(torch.cat([look[number][0].cpu() for look in looks]))


PRESETS = {
    "tiny": CflowSettings(
        patches=PatchSettings(size=(4, 96, 96), count=2),
        rows=1024,
        flow=FlowSettings(blocks=4, hidden=64),
        condition=32,
        loop=LoopSettings(steps=500, lr=1e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": CflowSettings(
        loop=LoopSettings(steps=10_000, lr=5e-4, warmup=100, precision="32-true", workers=8),
    ),
    # Gudovskiy et al.: eight blocks, a condition of 128, Adam at 2e-4.
    "paper": CflowSettings(
        patches=PatchSettings(size=(8, 192, 192), count=4),
        rows=16_384,
        flow=FlowSettings(blocks=8, hidden=512),
        loop=LoopSettings(
            steps=50_000, lr=2e-4, warmup=500, weight_decay=0.0, precision="32-true", workers=12
        ),
    ),
}
METHOD = Method(
    "CFLOW, Gudovskiy et al. 2022 by slices: how likely features of photographs are at a place",
    CflowSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
