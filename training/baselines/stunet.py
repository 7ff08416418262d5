"""STU-Net's features with a flow: how likely is what a network for organs sees?

The row of Screener's Table 4 that shows that features taught by organs are blind to lesions:
features of STU-Net (Huang et al., arXiv 2304.06716) from its last level before the classes, frozen,
averaged over blocks, under a marginal normalizing flow, which is Screener's own. It takes a store in
HU (`prepare --plain`); slices of 3 mm are brought to the 1.5 mm that it was trained at. The public
weights are told of by `--features`; without them this rival is not fitted, as features of random
weights would be a straw man.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.flow import Flow, FlowSettings
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.slice_features import inside_of
from training.baselines.parts.slice_rows import LOOKS, Standard
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.parts.stunet import StuNet, StuNetSettings, load_stunet, stunet_file
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop import processes
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class StuNetFlowSettings(TrainedSettings):
    """Train a flow on features of STU-Net."""

    features: Path | None = None
    """File with the public weights."""
    sizes: StuNetSettings = field(default_factory=StuNetSettings)
    """Sizes of the network that they are of."""
    window: tuple[float, float] = (-1004.0, 1588.0)
    """HU that are cut off at; these, mean and deviation are those that nnU-Net measured on
    TotalSegmentator's scans. They stand in the plans.pkl beside the weights: check them."""
    mean: float = -50.4
    """HU taken off."""
    deviation: float = 503.4
    """HU divided by."""
    finer: int = 2
    """Slices made of one, so that voxels are as fine as those it was trained on."""
    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(32, 128, 128), count=2)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    pool: Shape = (2, 2, 2)
    """Voxels that features are averaged over."""
    rows: int = 4096
    """Features of one step."""
    flow: FlowSettings = field(default_factory=lambda: FlowSettings(blocks=16, hidden=256))
    """Sizes of the flow."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class StuNetFlow(SliceScorer):
    """Scores by -log p.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: StuNetFlowSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.network = StuNet(settings.sizes).requires_grad_(False)
        self.asked = settings
        width = settings.sizes.channels[0]
        self.standard = Standard(width)
        generator = torch.Generator().manual_seed(settings.seed)
        self.flow = Flow(width, 0, settings.flow, generator)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Averaged features of tiles, `(B, D', H', W', C)`, from HU over 255 `(B, 1, D, H, W)`."""
        asked, (depth, height, width) = self.asked, self.asked.pool
        hu = (255 * x.float()).clamp(*asked.window)
        fine = F.interpolate((hu - asked.mean) / asked.deviation, scale_factor=(asked.finer, 1, 1))
        found = self.network(fine).float()
        return F.avg_pool3d(found, (depth * asked.finer, height, width)).movedim(1, -1)

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """-log p of the features."""
        found = self.features(x)
        inside = inside_of(where, tuple(found.shape[1:4]))
        scores = torch.full(inside.shape, torch.nan, device=x.device)
        rows = self.standard(found[inside])
        scores[inside] = self.flow.nll(rows, rows[:, :0])
        return scores


class Marginal(nn.Module):
    """The flow with its loss.

    Arguments:
        flow: What is trained.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """-log p of standardized features `(n, C)`, for each channel."""
        return {"loss": self.flow.nll(rows, rows[:, :0]).mean() / rows.shape[1]}


def build(settings: StuNetFlowSettings, preprocess: PreprocessSettings) -> StuNetFlow:
    """Make an untrained flow."""
    factor = 2 ** (len(settings.sizes.channels) - 1)
    depth, height, width = settings.patches.size
    if any(side % factor for side in (depth * settings.finer, height, width)):
        raise ValueError(f"crops of {settings.patches.size} voxels are no multiple of {factor}")
    tiling = Tiling(
        preprocess, settings.patches.size, smooth=settings.smooth, multiple=settings.patches.size
    )
    return StuNetFlow(settings, tiling)


def phases(settings: StuNetFlowSettings, rival: StuNetFlow, store: Store) -> Iterator[Phase]:
    """Train the flow on frozen features."""
    check_patches(settings.patches, (1,), settings.loop)
    load_stunet(rival.network, stunet_file(settings.features))
    source, size = PatchSource(store, settings.patches, settings.seed), settings.patches.size

    def drawn_rows(drawn: Drawn, device: torch.device) -> Tensor:
        rival.network.to(device)
        found = rival.features(drawn.images(size, device))
        inside = inside_of(drawn.bodies(size, device)[:, 0], tuple(found.shape[1:4]))
        return found.flatten(0, 3)[drawn.chances(device).some_of(inside, settings.rows)]

    device = processes.device()
    rival.standard.fit(torch.cat([drawn_rows(source.load(n), device).cpu() for n in range(LOOKS)]))

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        return (rival.standard.to(device)(drawn_rows(drawn, device)),)

    task = Task(Marginal(rival.flow), source.load, render, source.need(render))
    yield Phase("flow", task, settings.loop)


PRESETS = {
    "tiny": StuNetFlowSettings(
        patches=PatchSettings(size=(16, 64, 64), count=1),
        rows=1024,
        flow=FlowSettings(blocks=4, hidden=64),
        loop=LoopSettings(steps=200, lr=1e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": StuNetFlowSettings(
        loop=LoopSettings(steps=10_000, lr=3e-4, warmup=500, precision="32-true", workers=8),
    ),
    # Goncharov et al.: the density of their own model, 500,000 steps. The form of STU-Net is not
    # said; its base form has twice the channels of the small one.
    "paper": StuNetFlowSettings(
        sizes=StuNetSettings(channels=(32, 64, 128, 256, 512, 512)),
        patches=PatchSettings(size=(64, 128, 128), count=4),
        rows=16_384,
        flow=FlowSettings(blocks=64, hidden=512),
        loop=LoopSettings(steps=500_000, lr=3e-4, warmup=10_000, precision="32-true", workers=12),
    ),
}
METHOD = Method(
    "STU-Net, Huang et al. 2023, with a flow: how likely is what a network for organs sees",
    StuNetFlowSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": stunet_file(settings.features)},
    plain=lambda settings: True,
)
