"""AE-FLOW: an autoencoder whose middle is a normalizing flow; residual and likelihood together.

Zhao, Ding and Zhang, "AE-FLOW: Autoencoders with Normalizing Flows for Medical Images Anomaly
Detection", ICLR 2023, brought to 3D, from the paper's text; the authors gave no code. The encoder
takes a crop down to features, a flow takes these to a Gaussian, and the decoder draws the crop from
what the flow gives. The loss is alpha of -log p for each number of the middle, and 1 - alpha of the
squared error; the score is beta of the likelihood's part and 1 - beta of the residual's.

Three things differ. Their encoder is a network for photographs; here it is trained in 3D, so that
its features are brought to unit variance before the flow: without that they would shrink, for a
density grows without end as its points draw together. Their loss takes -log p as a sum, which two
public reproductions found to drown the residual; here it is a mean. And both parts of the score are
standardized over the scans fitted on, so that beta weighs like with like.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.conv_flow import ConvFlow
from training.baselines.parts.encoder_decoder import convolutions
from training.baselines.parts.map_scorer import MapScorer
from training.baselines.parts.slice_rows import Standard
from training.baselines.parts.store_tiles import store_tiles
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop import processes
from training.loop.loop import LoopSettings, Task

TILES = 8
"""Tiles of each scan that both parts of the score are standardized on, at most."""


@dataclass(frozen=True)
class AeFlowSettings(TrainedSettings):
    """Train AE-FLOW on a store."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """How crops are drawn; a screening sees tiles of their size."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each level, the finest first; each has half the resolution of the one before,
    the first that of half a crop. The last are what the flow takes."""
    blocks: int = 8
    """Blocks of the flow."""
    hidden: int = 256
    """Channels within a coupling."""
    alpha: float = 0.5
    """Weight of the likelihood in the loss."""
    beta: float = 0.5
    """Weight of the likelihood in the score."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class AeFlow(MapScorer):
    """Scores by likelihood and residual.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: AeFlowSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        widths, middle = (1, *settings.channels), settings.channels[-1]
        self.encoder = nn.Sequential(*(convolutions(a, b, 2) for a, b in pairwise(widths)))
        # So small an epsilon that there is nothing to be gained by features that shrink.
        self.unit = nn.BatchNorm3d(middle, eps=1e-12, affine=False)
        generator = torch.Generator().manual_seed(settings.seed)
        self.flow = ConvFlow(3, middle, 0, settings.blocks, settings.hidden, generator)
        layers: list[nn.Module] = []
        for coarse, fine in pairwise((*settings.channels[::-1], settings.channels[0])):
            layers += [nn.Upsample(scale_factor=2), convolutions(coarse, fine)]
        self.decoder = nn.Sequential(*layers, nn.Conv3d(settings.channels[0], 1, 1))
        self.beta = settings.beta
        self.standard = Standard(2)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """-log p for each number of the middle `(B, d, h, w)`, and the crop drawn from it."""
        z, log_det = self.flow(self.unit(self.encoder(x).float()))
        nll = (0.5 * z.square().sum(dim=1) - log_det) / z.shape[1]
        return nll, self.decoder(z).float()

    def parts(self, x: Tensor) -> Tensor:
        """Likelihood and residual of every voxel, `(B, 2, D, H, W)`."""
        nll, drawn = self.both(x)
        fine = F.interpolate(nll[:, None], list(x.shape[2:]), mode="trilinear")
        return torch.cat([fine, (x - drawn).abs()], dim=1)

    def voxels(self, x: Tensor) -> Tensor:
        """The weighted sum of both, standardized."""
        nll, residual = self.standard(self.parts(x).movedim(1, -1)).unbind(-1)
        return (self.beta * nll + (1 - self.beta) * residual)[:, None]


class Together(nn.Module):
    """The networks with their loss.

    Arguments:
        rival: What is trained.
        alpha: Weight of the likelihood.
    """

    def __init__(self, rival: AeFlow, alpha: float) -> None:
        super().__init__()
        self.rival, self.alpha = rival, alpha

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Draw crops `(m, 1, D, H, W)` again."""
        nll, drawn = self.rival.both(images)
        likelihood, squares = nll.mean(), F.mse_loss(drawn, images)
        return {
            "loss": self.alpha * likelihood + (1 - self.alpha) * squares,
            "nll": likelihood.detach(),
            "squares": squares.detach(),
        }


def build(settings: AeFlowSettings, preprocess: PreprocessSettings) -> AeFlow:
    """Make untrained networks."""
    factor = 2 ** len(settings.channels)
    tiling = Tiling(
        preprocess, settings.patches.size, smooth=settings.smooth, multiple=(factor,) * 3
    )
    return AeFlow(settings, tiling)


def phases(settings: AeFlowSettings, rival: AeFlow, store: Store) -> Iterator[Phase]:
    """Train all of it together."""
    check_patches(settings.patches, (1, *settings.channels), settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        return (drawn.images(settings.patches.size, device),)

    objective = Together(rival, settings.alpha)
    yield Phase(
        "ae_flow", Task(objective, source.load, render, source.need(render)), settings.loop
    )


@torch.no_grad()
def settle(settings: AeFlowSettings, rival: AeFlow, store: Store) -> None:
    """Measure mean and deviation of both parts of the score, over voxels of the body."""
    device, rng = processes.device(), np.random.default_rng(settings.seed)
    rival.to(device)
    rows = [
        rival.parts(x.to(device)).movedim(1, -1)[where.to(device)].cpu()
        for x, _, where in store_tiles(store, rival.settings, rng, TILES)
    ]
    rival.cpu()
    rival.standard.fit(torch.cat(rows))


PRESETS = {
    "tiny": AeFlowSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        channels=(8, 16, 32),
        blocks=4,
        hidden=32,
        loop=LoopSettings(steps=500, lr=2e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": AeFlowSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=20_000, lr=1e-3, warmup=500, workers=8),
    ),
    # Zhao et al.: features at a sixteenth of the resolution, eight blocks, alpha and beta of .5 to
    # .9 by set; learning rate 2e-3 with a decay of 1e-5, as the reproductions have it.
    "paper": AeFlowSettings(
        patches=PatchSettings(count=16),
        channels=(64, 128, 256, 512),
        hidden=512,
        loop=LoopSettings(steps=100_000, lr=2e-3, warmup=0, weight_decay=1e-5, workers=12),
    ),
}
METHOD = Method(
    "AE-FLOW, Zhao et al. 2023 in 3D: residual and likelihood of an autoencoder with a flow within",
    AeFlowSettings,
    PRESETS,
    build,
    phases,
    settle,
)
