"""SimpleNet: features of slices told from the same with a little noise.

Liu et al., "SimpleNet: A Simple Network for Image Anomaly Detection and Localization", CVPR 2023,
slice by slice: frozen features of two stages, averaged over 3x3; a linear adaptor; noise on what
comes out of it; a discriminator of two layers with a hinge loss at .5. Their noise of .015 fits the
scale of their network's features; here features are standardized first, so that its strength means
the same whatever the network. They choose the epoch by the test set; here nothing is chosen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.efficientnet import features_file
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_rows import LOOKS, SliceRows, Standard
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.flags import FLAT
from training.loop import processes
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class SimpleNetSettings(TrainedSettings):
    """Train SimpleNet on a store."""

    features: Annotated[FeatureSettings, FLAT] = field(default_factory=FeatureSettings)
    """Which features of slices."""
    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(8, 192, 192), count=2)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    rows: int = 4096
    """Features of one step."""
    hidden: int = 1024
    """Width of the discriminator."""
    noise: float = 0.1
    """Standard deviation of the noise, in deviations of the features."""
    margin: float = 0.5
    """What the discriminator is to exceed, on either side of 0."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class SimpleNet(SliceScorer):
    """Scores by what the discriminator takes for noise.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: SimpleNetSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.describe = SliceFeatures(settings.features)
        width = sum(self.describe.channels)
        self.standard = Standard(width)
        self.adaptor = nn.Linear(width, width)
        self.discriminator = nn.Sequential(
            nn.Linear(width, settings.hidden),
            nn.BatchNorm1d(settings.hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(settings.hidden, 1, bias=False),
        )

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """The discriminator's no."""
        found = self.describe.joined(x)
        inside = inside_of(where, tuple(found.shape[1:4]))
        scores = torch.full(inside.shape, torch.nan, device=x.device)
        rows = self.adaptor(self.standard(found[inside]))
        scores[inside] = -self.discriminator(rows)[:, 0].float()
        return scores


class Hinge(nn.Module):
    """Adaptor and discriminator with their loss.

    Arguments:
        adaptor: Of features.
        discriminator: Above 0 for features as they are.
        noise: Standard deviation of the noise.
        margin: What it is to exceed.
    """

    def __init__(
        self, adaptor: nn.Module, discriminator: nn.Module, noise: float, margin: float
    ) -> None:
        super().__init__()
        self.adaptor, self.discriminator = adaptor, discriminator
        self.noise, self.margin = noise, margin

    def forward(self, rows: Tensor, chance: Tensor) -> dict[str, Tensor]:
        """Tell standardized features `(n, C)` from the same with noise, drawn as `chance`."""
        features = self.adaptor(rows).float()
        both = torch.cat([features, features + self.noise * chance])
        true, false = self.discriminator(both).float()[:, 0].chunk(2)
        loss = F.relu(self.margin - true).mean() + F.relu(self.margin + false).mean()
        right = 0.5 * ((true.detach() > 0).float().mean() + (false.detach() < 0).float().mean())
        return {"loss": loss, "right": right}


def build(settings: SimpleNetSettings, preprocess: PreprocessSettings) -> SimpleNet:
    """Make untrained networks."""
    tiling = Tiling(preprocess, settings.patches.size, (1, 1, 1), settings.smooth)
    return SimpleNet(settings, tiling)


def phases(settings: SimpleNetSettings, rival: SimpleNet, store: Store) -> Iterator[Phase]:
    """Train adaptor and discriminator on frozen features."""
    check_patches(settings.patches, (1,), settings.loop)
    rival.describe.load(settings.features)
    source = PatchSource(store, settings.patches, settings.seed)
    rows = SliceRows(source, rival.describe, settings.rows)
    device = processes.device()
    looks = [rows.joined(source.load(index), device).cpu() for index in range(LOOKS)]
    rival.standard.fit(torch.cat(looks))

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        found = rival.standard.to(device)(rows.joined(drawn, device))
        return found, drawn.chances(device).normal(found.shape)

    hinge = Hinge(rival.adaptor, rival.discriminator, settings.noise, settings.margin)
    task = Task(hinge, source.load, render, source.need(render))
    yield Phase("simplenet", task, settings.loop)


PRESETS = {
    "tiny": SimpleNetSettings(
        patches=PatchSettings(size=(4, 96, 96), count=2),
        rows=1024,
        hidden=128,
        loop=LoopSettings(steps=500, lr=1e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": SimpleNetSettings(
        loop=LoopSettings(steps=10_000, lr=2e-4, warmup=100, weight_decay=1e-5, workers=8),
    ),
    # Liu et al.: the discriminator at 2e-4, the adaptor at 1e-4, 160 epochs of some 50 batches.
    "paper": SimpleNetSettings(
        patches=PatchSettings(size=(8, 192, 192), count=4),
        rows=8192,
        loop=LoopSettings(steps=40_000, lr=2e-4, warmup=0, weight_decay=1e-5, workers=12),
    ),
}
METHOD = Method(
    "SimpleNet, Liu et al. 2023 by slices: tells features of photographs from the same with noise",
    SimpleNetSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
