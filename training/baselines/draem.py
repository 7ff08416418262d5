"""DRAEM: one network restores an image, another one sees the image and its restoration and marks.

Zavrtanik et al., "DRAEM: A Discriminatively Trained Reconstruction Embedding for Surface Anomaly
Detection", ICCV 2021, brought to 3D. Anomalies are shapes of thresholded Perlin noise, filled with
another texture at an opacity of 1 - beta. Textures there are photographs (DTD); here they are other
crops with changed grey values, as a CT knows no others. The threshold is .36 for their .5: of noise
in 3D so high a value is rarer, and .36 marks as many voxels (5%) as theirs marks pixels.
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
from training.baselines.parts.ssim import ssim
from training.baselines.parts.synthetic import blended, others, perlin_mask, recoloured
from training.baselines.tiling import Tiling
from training.data.chance import Chances
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop.loop import LoopSettings, Task

GAMMA = 2.0
"""Exponent of the focal loss."""


@dataclass(frozen=True)
class DraemSettings(TrainedSettings):
    """Train DRAEM on a store."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """How crops are drawn; a screening sees tiles of their size."""
    restoring: tuple[int, ...] = (32, 64, 128, 256, 256)
    """Channels of each level of the network that restores, finest first; it has no skips."""
    marking: tuple[int, ...] = (32, 64, 128, 256, 256)
    """Channels of each level of the network that marks."""
    clean: float = 0.5
    """Share of crops that stay as they are."""
    beta: tuple[float, float] = (0.0, 0.8)
    """Least and largest share of the image that remains within an anomaly."""
    threshold: float = 0.36
    """Of the Perlin noise, above which there is an anomaly."""
    window: int = 11
    """Voxels of the window of the structural similarity along each axis."""
    smooth: float = 0.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Draem(MapScorer):
    """Scores by the probability of an anomaly.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: DraemSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.restoring = EncoderDecoder(1, 1, settings.restoring, skips=False)
        self.marking = EncoderDecoder(2, 2, settings.marking)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The restored image `(B, 1, D, H, W)`, and logits of healthy and not `(B, 2, D, H, W)`."""
        restored = self.restoring(x)
        return restored, self.marking(torch.cat([restored, x], dim=1))

    def voxels(self, x: Tensor) -> Tensor:
        """The logarithm of the odds, which orders voxels as their probability does."""
        _, logits = self.both(x)
        return logits[:, 1:] - logits[:, :1]


class Discriminative(nn.Module):
    """Both networks with their losses.

    Arguments:
        rival: What is trained.
        window: Of the structural similarity.
    """

    def __init__(self, rival: Draem, window: int) -> None:
        super().__init__()
        self.rival = rival
        self.window = window

    def forward(self, changed: Tensor, clean: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Restore and mark changed images.

        Arguments:
            changed: With anomalies, `(m, 1, D, H, W)`.
            clean: Without.
            mask: Where they are, bool.

        Returns:
            `loss`, the sum of `squares`, `structure` and `focal`.
        """
        restored, logits = self.rival.both(changed)
        squares = (restored - clean).square().mean()
        structure = (1 - ssim(restored, clean, self.window)).mean()
        focal = focal_loss(logits, mask[:, 0].long())
        parts = {"squares": squares, "structure": structure, "focal": focal}
        return {"loss": squares + structure + focal} | {k: v.detach() for k, v in parts.items()}


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The focal loss (Lin et al., ICCV 2017): cross entropy, where voxels that are sure count less.

    Arguments:
        logits: `(m, 2, D, H, W)`.
        target: 0 or 1, `(m, D, H, W)`.
    """
    entropy = F.cross_entropy(logits.float(), target, reduction="none")
    return ((1 - torch.exp(-entropy)) ** GAMMA * entropy).mean()


def with_anomalies(
    clean: Tensor, body: Tensor, settings: DraemSettings, chances: Chances
) -> tuple[Tensor, Tensor]:
    """Put shapes of other textures into crops.

    Arguments:
        clean: Values 0 to 1, `(m, 1, D, H, W)`.
        body: Where there may be anomalies, bool, the same shape.
        settings: How many and how strong.
        chances: The sources of chance.

    Returns:
        The changed crops, and where they are changed, bool.
    """
    changed, masks = [], []
    for number, other in enumerate(others(len(clean), chances)):
        image, mask = clean[number], torch.zeros_like(body[number])
        texture = recoloured(clean[other], chances)
        drawn = perlin_mask(image.shape[1:], settings.threshold, chances)  # pyright: ignore[reportArgumentType]
        beta = chances.number(*settings.beta)
        if chances.number() >= settings.clean:
            mask = drawn[None] & body[number]
        changed.append(blended(image, texture, 1 - beta, mask))
        masks.append(mask)
    return torch.stack(changed), torch.stack(masks)


def build(settings: DraemSettings, preprocess: PreprocessSettings) -> Draem:
    """Make untrained networks."""
    factor = 2 ** (max(len(settings.restoring), len(settings.marking)) - 1)
    tiling = Tiling(
        preprocess, settings.patches.size, smooth=settings.smooth, multiple=(factor,) * 3
    )
    if min(settings.patches.size) < settings.window:
        raise ValueError(f"a window of {settings.window} voxels exceeds the crops")
    return Draem(settings, tiling)


def phases(settings: DraemSettings, rival: Draem, store: Store) -> Iterator[Phase]:
    """Train both networks together."""
    for channels in (settings.restoring, settings.marking):
        check_patches(settings.patches, channels, settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        clean = drawn.images(settings.patches.size, device)
        body = drawn.bodies(settings.patches.size, device)
        changed, mask = with_anomalies(clean, body, settings, drawn.chances(device))
        return changed, clean, mask

    objective = Discriminative(rival, settings.window)
    yield Phase("draem", Task(objective, source.load, render, source.need(render)), settings.loop)


PRESETS = {
    "tiny": DraemSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        restoring=(8, 16, 32),
        marking=(8, 16, 32),
        loop=LoopSettings(steps=800, lr=1e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": DraemSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=20_000, lr=5e-4, warmup=500, workers=8),
    ),
    # Zavrtanik et al.: batches of 8, Adam at 1e-4 for 700 epochs of some 30 steps, first levels of
    # 128 and 64 channels in 2D; in 3D those would not fit a card.
    "paper": DraemSettings(
        patches=PatchSettings(count=8),
        restoring=(32, 64, 128, 256, 512),
        marking=(32, 64, 128, 256, 512),
        loop=LoopSettings(steps=100_000, lr=1e-4, warmup=0, weight_decay=0.0, workers=12),
    ),
}
METHOD = Method(
    "DRAEM, Zavrtanik et al. 2021 in 3D: restores textures put in by Perlin noise, and marks them",
    DraemSettings,
    PRESETS,
    build,
    phases,
)
