"""MSFlow: parallel flows over three scales of features of slices, and a flow that joins them.

Zhou et al., "MSFlow: Multi-Scale Flow-based Framework for Unsupervised Anomaly Detection", IEEE
TNNLS 2024, arXiv 2308.15300, written from the paper alone, as its code forbids derived works: the
row of ImageNet features in Screener's Table 2. Frozen features of three stages, averaged over 3x3
with stride 2; flows of 2, 5 and 8 blocks of 3x3 convolutions, conditioned on the place in the
slice; then a fusion flow whose couplings see all scales. The loss is the mean -log p of all
scales; the score is half the mean square of z at each scale, without the log-determinant, summed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.flow import soft_clamp
from ctscreener.preprocess import PreprocessSettings
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.conv_flow import ConvFlow, coupling_network
from training.baselines.parts.efficientnet import features_file
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_rows import LOOKS, Standard, by_volume, encode, places_of
from training.baselines.parts.slice_scorer import SliceScorer, brought_up
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.flags import FLAT
from training.loop import processes
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class MsflowSettings(TrainedSettings):
    """Train MSFlow on a store."""

    features: Annotated[FeatureSettings, FLAT] = field(
        default_factory=lambda: FeatureSettings(groups=(1, 2, 4))
    )
    """Which features of slices."""
    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(8, 192, 192), count=2)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    blocks: tuple[int, ...] = (2, 5, 8)
    """Blocks of the flow of each stage, the finest first."""
    fusion: int = 1
    """Couplings of the fusion flow; 0 leaves it out."""
    hidden: int = 64
    """Channels within a coupling."""
    condition: int = 64
    """Sines and cosines of the position within the slice, a multiple of 4."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Fusion(nn.Module):
    """One coupling over all scales: what moves a half at one scale is read off the others too.

    Arguments:
        widths: Channels of each scale.
        hidden: Channels within the networks.
        flipped: Which half is moved.
    """

    def __init__(self, widths: Sequence[int], hidden: int, flipped: bool) -> None:
        super().__init__()
        self.flipped = flipped
        # The half that stays has the odd channel.
        kept = sum(width - width // 2 for width in widths)
        self.networks = nn.ModuleList(
            coupling_network(2, kept, hidden, 2 * (width // 2), 3) for width in widths
        )

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The coupled maps `(N, C, H, W)` and their log-determinants `(N, H, W)`."""
        halves = [self._split(y) for y in maps]
        found, log_dets = [], []
        for network, (u, v) in zip(self.networks, halves, strict=True):
            size = list(u.shape[2:])
            seen = torch.cat([F.interpolate(k, size, mode="bilinear") for k, _ in halves], dim=1)
            a, t = network(seen).float().chunk(2, dim=1)
            log_scale = soft_clamp(a)
            moved = v * log_scale.exp() + t
            found.append(torch.cat([moved, u] if self.flipped else [u, moved], dim=1))
            log_dets.append(log_scale.sum(1))
        return found, log_dets

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """What stays and what is moved."""
        half = y.shape[1] // 2
        if self.flipped:
            return y[:, half:], y[:, :half]
        return y[:, : y.shape[1] - half], y[:, y.shape[1] - half :]


class MultiScaleFlow(nn.Module):
    """The parallel flows and their fusion.

    Arguments:
        widths: Channels of each scale.
        settings: The sizes.
    """

    def __init__(self, widths: Sequence[int], settings: MsflowSettings) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(settings.seed)
        self.parallel = nn.ModuleList(
            ConvFlow(2, width, settings.condition, blocks, settings.hidden, generator)
            for width, blocks in zip(widths, settings.blocks, strict=True)
        )
        self.fusion = nn.ModuleList(
            Fusion(widths, settings.hidden, n % 2 == 1) for n in range(settings.fusion)
        )

    def forward(
        self, levels: list[Tensor], conditions: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Z of each scale `(N, C, H, W)`, and log-determinants `(N, H, W)`."""
        both = [f(y, c) for f, y, c in zip(self.parallel, levels, conditions, strict=True)]
        maps, log_dets = [z for z, _ in both], [d for _, d in both]
        for coupling in self.fusion:
            maps, more = coupling(maps)
            log_dets = [a + b for a, b in zip(log_dets, more, strict=True)]
        return maps, log_dets


class Msflow(SliceScorer):
    """Scores by half the mean square of z, over all scales.

    Arguments:
        settings: Sizes of the flows.
        tiling: How it sees scans.
    """

    def __init__(self, settings: MsflowSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.describe = SliceFeatures(settings.features)
        self.condition = settings.condition
        widths = self.describe.channels
        self.standard = nn.ModuleList(Standard(width) for width in widths)
        self.flow = MultiScaleFlow(widths, settings)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Pooled features of every slice, finest first, not yet standardized, `(N, C, H, W)`."""
        return [F.avg_pool2d(level, 3, 2, 1) for level in self.describe.maps(x)]

    def batch(self, levels: list[Tensor], positions: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Standardized features and conditions, of slices.

        Arguments:
            levels: What `levels` gave.
            positions: Share of the body's box, `(B, 3, D, H, W)`.
        """
        features, conditions = [], []
        for level, standard in zip(levels, self.standard, strict=True):
            volume = by_volume([level], len(positions))[0]
            features.append(slices(standard(volume)))
            places = places_of(positions, tuple(volume.shape[1:4]))
            code = encode(places.flatten(0, 3), self.condition)
            conditions.append(slices(code.unflatten(0, tuple(places.shape[:4]))))
        return features, conditions

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """The sum over scales, on the grid of the finest."""
        maps, _ = self.flow(*self.batch(self.levels(x), positions))
        parts = []
        for z in maps:
            (score,) = by_volume([0.5 * z.square().mean(dim=1, keepdim=True)], len(x))
            inside = inside_of(where, tuple(score.shape[1:4]))
            parts.append(torch.where(inside, score[..., 0], torch.nan))
        fine = torch.ones_like(parts[0], dtype=torch.bool)
        total = torch.stack([brought_up(part, fine) for part in parts]).sum(dim=0)
        return torch.where(parts[0].isfinite(), total, torch.nan)


def slices(volume: Tensor) -> Tensor:
    """Maps of slices `(B * D, C, H, W)` from volumes `(B, D, H, W, C)`."""
    return volume.flatten(0, 1).movedim(-1, 1)


class Likelihood(nn.Module):
    """The flows with their loss.

    Arguments:
        flow: What is trained.
    """

    def __init__(self, flow: MultiScaleFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        """Fit features `(N, C, H, W)`, conditions, and where they count `(N, H, W)`, by scale."""
        maps, log_dets = self.flow(list(batch[0::3]), list(batch[1::3]))
        parts = []
        for z, log_det, inside in zip(maps, log_dets, batch[2::3], strict=True):
            nll = 0.5 * z.square().sum(dim=1) - log_det
            parts.append((nll * inside).sum() / inside.sum().clamp(min=1) / z.shape[1])
        return {"loss": torch.stack(parts).mean()}


def build(settings: MsflowSettings, preprocess: PreprocessSettings) -> Msflow:
    """Make untrained flows."""
    if len(settings.blocks) != len(settings.features.groups):
        raise ValueError(f"there are {len(settings.features.groups)} stages for the blocks")
    if settings.condition < 4 or settings.condition % 4:
        raise ValueError(f"a condition of {settings.condition} numbers is no multiple of 4")
    return Msflow(settings, Tiling(preprocess, settings.patches.size, smooth=settings.smooth))


def phases(settings: MsflowSettings, rival: Msflow, store: Store) -> Iterator[Phase]:
    """Train all flows together on frozen features."""
    check_patches(settings.patches, (1,), settings.loop)
    rival.describe.load(settings.features)
    source = PatchSource(store, settings.patches, settings.seed)
    size, device = settings.patches.size, processes.device()
    rival.describe.to(device)
    looks = [rival.levels(source.load(n).images(size, device)) for n in range(LOOKS)]
    for number, standard in enumerate(rival.standard):
        assert isinstance(standard, Standard)
        rows = torch.cat([look[number].movedim(1, -1).flatten(0, 2) for look in looks])
        standard.fit(rows.cpu())

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        rival.describe.to(device)
        rival.standard.to(device)
        where = drawn.bodies(size, device)[:, 0]
        levels = rival.levels(drawn.images(size, device))
        features, conditions = rival.batch(levels, drawn.positions(size, device))
        batch: list[Tensor] = []
        for feature, condition in zip(features, conditions, strict=True):
            shape = (size[0], *feature.shape[2:])
            batch += [feature, condition, inside_of(where, shape).flatten(0, 1)]
        return tuple(batch)

    task = Task(Likelihood(rival.flow), source.load, render, source.need(render))
    yield Phase("msflow", task, settings.loop)


PRESETS = {
    "tiny": MsflowSettings(
        patches=PatchSettings(size=(4, 96, 96), count=2),
        hidden=32,
        condition=32,
        loop=LoopSettings(steps=300, lr=1e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": MsflowSettings(
        loop=LoopSettings(steps=10_000, lr=5e-4, warmup=100, precision="32-true", workers=8),
    ),
    # Zhou et al.: blocks of 2, 5 and 8, a condition of 64, Adam at 1e-4, gradients clipped at 2.
    "paper": MsflowSettings(
        patches=PatchSettings(size=(8, 192, 192), count=4),
        hidden=256,
        loop=LoopSettings(
            steps=50_000,
            lr=1e-4,
            warmup=500,
            weight_decay=0.0,
            clip=2.0,
            precision="32-true",
            workers=12,
        ),
    ),
}
METHOD = Method(
    "MSFlow, Zhou et al. 2024 by slices: features of photographs at three scales, and their fusion",
    MsflowSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
