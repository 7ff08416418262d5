"""MOOD-Top1: a UNet marks foreign patches that were put into healthy scans.

Marimont and Tarroni, the first place of the Medical Out-of-Distribution challenge 2022 ("Achieving
state-of-the-art performance in the Medical Out-of-Distribution (MOOD) challenge using plausible
synthetic anomalies", arXiv 2308.01412), which builds on foreign patch interpolation (Tan et al.,
arXiv 2011.04197) and Poisson image interpolation (Tan et al., MICCAI 2021). Shapes are boxes,
ellipsoids and blobs of Perlin noise; what fills them is another crop, mixed in with an edge that is
hard, soft, or seamless; deep supervision by binary cross entropy. Other than there, the
seamless edge comes from a few sweeps that spread the difference at the edge inwards, not from a
solver, and shapes taken from real segmentations are not there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.encoder_decoder import EncoderDecoder
from training.baselines.parts.map_scorer import MapScorer
from training.baselines.parts.synthetic import blended, draw_mask, others, softened
from training.baselines.tiling import Tiling
from training.data.chance import Chances
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop.loop import LoopSettings, Task

SWEEPS = 48
"""Of the relaxation that makes an edge seamless."""
SOFT = 4
"""Voxels over which a soft edge falls off, at most."""


@dataclass(frozen=True)
class MoodSettings(TrainedSettings):
    """Train MOOD-Top1 on a store."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """How crops are drawn; a screening sees tiles of their size."""
    channels: tuple[int, ...] = (32, 64, 128, 256, 320)
    """Channels of each level of the UNet, finest first."""
    heads: int = 3
    """Levels that are supervised."""
    anomalies: float = 0.9
    """Share of crops with an anomaly."""
    least: int = 6
    """Voxels of the side of an anomaly at least."""
    largest: float = 0.6
    """Side of an anomaly at most, as a share of that of the crop."""
    alpha: tuple[float, float] = (0.3, 1.0)
    """Least and largest share of the foreign patch in the mixture."""
    smooth: float = 0.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Marker(MapScorer):
    """Scores by the logit of an anomaly.

    Arguments:
        settings: Sizes of the network.
        tiling: How it sees scans.
    """

    def __init__(self, settings: MoodSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.network = EncoderDecoder(1, 1, settings.channels, heads=settings.heads)

    def voxels(self, x: Tensor) -> Tensor:
        """The logit, which orders voxels as their probability does."""
        return self.network(x)


class DeepSupervision(nn.Module):
    """The UNet with its loss.

    Arguments:
        network: What is trained.
    """

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, changed: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Mark changed images `(m, 1, D, H, W)`; coarser levels count half as much each."""
        target, total, weights = mask.float(), torch.zeros((), device=mask.device), 0.0
        losses = []
        for level, logits in enumerate(self.network.levels(changed)):
            wanted = F.avg_pool3d(target, 2**level)
            losses.append(F.binary_cross_entropy_with_logits(logits, wanted))
            total = total + losses[-1] / 2**level
            weights += 0.5**level
        return {"loss": total / weights, "finest": losses[0].detach()}


def put_in(image: Tensor, foreign: Tensor, mask: Tensor, alpha: float, chances: Chances) -> Tensor:
    """Mix a foreign crop in, with a hard, a soft or a seamless edge.

    Arguments:
        image: `(1, D, H, W)`.
        foreign: The same shape.
        mask: Where, bool, `(D, H, W)`.
        alpha: Share of the foreign crop.
        chances: Decide the edge.
    """
    kind, width = chances.whole(3), 1 + chances.whole(SOFT)
    if kind == 2:
        foreign = seamless(image, foreign, mask)
    # A soft edge stays within the mask: what is marked is what is changed.
    share = alpha * softened(mask, width)[None] if kind == 1 else alpha
    return blended(image, foreign.clamp(0, 1), share, mask[None])


def seamless(image: Tensor, foreign: Tensor, mask: Tensor) -> Tensor:
    """The foreign crop, moved by what meets the image at the edge of a mask.

    The move is the smoothest one with these values at the edge: Laplace's equation, which is
    Poisson's for the gradients of the foreign crop (Perez et al., SIGGRAPH 2003), by relaxation.

    Arguments:
        image: `(1, D, H, W)`.
        foreign: The same shape.
        mask: Where, bool, `(D, H, W)`.
    """
    difference = (image - foreign)[None]
    inside = mask[None, None]
    kernel = torch.zeros(1, 1, 3, 3, 3, device=image.device)
    for d, h, w in ((0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)):
        kernel[0, 0, d, h, w] = 1 / 6
    outside = (~inside).sum().clamp(min=1)
    move = torch.where(inside, difference.masked_fill(inside, 0.0).sum() / outside, difference)
    for _ in range(SWEEPS):
        spread = F.conv3d(F.pad(move, (1,) * 6, mode="replicate"), kernel)
        move = torch.where(inside, spread, difference)
    return foreign + move[0]


def with_anomalies(
    clean: Tensor, body: Tensor, settings: MoodSettings, chances: Chances
) -> tuple[Tensor, Tensor]:
    """Put foreign patches into crops.

    Arguments:
        clean: Values 0 to 1, `(m, 1, D, H, W)`.
        body: Where there may be anomalies, bool, the same shape.
        settings: How many, how large and how strong.
        chances: The sources of chance.

    Returns:
        The changed crops, and where they are changed, bool.
    """
    changed, masks = [], []
    for number, other in enumerate(others(len(clean), chances)):
        image = clean[number]
        drawn = draw_mask(image.shape[1:], settings.least, settings.largest, chances)
        mask = drawn & body[number, 0]
        foreign = clean[other].flip(chances.axes())
        mixed = put_in(image, foreign, mask, chances.number(*settings.alpha), chances)
        if chances.number() >= settings.anomalies:
            mixed, mask = image, torch.zeros_like(mask)
        changed.append(mixed)
        masks.append(mask[None])
    return torch.stack(changed), torch.stack(masks)


def build(settings: MoodSettings, preprocess: PreprocessSettings) -> Marker:
    """Make an untrained network."""
    if not 1 <= settings.heads <= len(settings.channels):
        raise ValueError(f"{len(settings.channels)} levels have not {settings.heads} heads")
    factor = 2 ** (len(settings.channels) - 1)
    tiling = Tiling(
        preprocess, settings.patches.size, smooth=settings.smooth, multiple=(factor,) * 3
    )
    return Marker(settings, tiling)


def phases(settings: MoodSettings, rival: Marker, store: Store) -> Iterator[Phase]:
    """Train the network."""
    check_patches(settings.patches, settings.channels, settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        clean = drawn.images(settings.patches.size, device)
        body = drawn.bodies(settings.patches.size, device)
        return with_anomalies(clean, body, settings, drawn.chances(device))

    objective = DeepSupervision(rival.network)
    yield Phase("mood", Task(objective, source.load, render, source.need(render)), settings.loop)


PRESETS = {
    "tiny": MoodSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        channels=(8, 16, 32),
        loop=LoopSettings(steps=800, lr=1e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": MoodSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=20_000, lr=1e-3, warmup=500, workers=8),
    ),
    # Their code: 160 voxels of 1 mm, six levels, batches of 4, AdamW to 1e-3 with a decay of 1e-5,
    # 35,000 steps, anomalies of 10 to 128 voxels.
    "paper": MoodSettings(
        patches=PatchSettings(size=(96, 160, 160), count=4),
        channels=(32, 64, 128, 256, 320, 320),
        least=10,
        largest=0.8,
        loop=LoopSettings(steps=35_000, lr=1e-3, warmup=10_500, weight_decay=1e-5, workers=12),
    ),
}
METHOD = Method(
    "MOOD-Top1, Marimont and Tarroni 2023: a UNet marks foreign patches put into healthy scans",
    MoodSettings,
    PRESETS,
    build,
    phases,
)
