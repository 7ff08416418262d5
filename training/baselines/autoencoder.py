"""The autoencoder: what does not fit through its narrow middle comes out changed.

Baur et al., "Autoencoders for Unsupervised Anomaly Segmentation in Brain MR Images: A Comparative
Study", Medical Image Analysis 2021 (arXiv 2004.03271), brought to 3D: 5x5x5 convolutions of stride
2 with batch norm and leaky ReLU, a dense or a spatial middle, absolute error. Their residual
counts on one side, where the lesions of FLAIR are bright, within a brain mask, and passes a median
filter of 5 voxels. In a CT a lesion may be dark or bright, so the residual here is absolute; and
that filter would wipe out a nodule of four voxels, so that a Gaussian takes its place (`smooth`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.map_scorer import MapScorer
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class AutoencoderSettings(TrainedSettings):
    """Train an autoencoder on a store."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """How crops are drawn; a screening sees tiles of their size."""
    channels: tuple[int, ...] = (32, 64, 128, 128)
    """Channels of each level; each has half the resolution of the one before, the first of the
    image."""
    latent: int = 128
    """Numbers that a crop is squeezed into; 0 for a spatial middle, without a dense layer."""
    narrow: int = 16
    """Channels of the middle before the dense layer, or of the spatial middle."""
    dropout: float = 0.2
    """Share of the dense layer's inputs that is left out in training."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Autoencoder(nn.Module):
    """Squeezes a crop and gives it back.

    Arguments:
        settings: Its sizes.
    """

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        widths = settings.channels
        down, up, width = [], [], 1
        for wider in widths:
            down += _level(nn.Conv3d(width, wider, 5, 2, padding=2, bias=False), wider)
            width = wider
        for narrower in (*widths[-2::-1], widths[0]):
            up += _level(
                nn.ConvTranspose3d(width, narrower, 4, 2, padding=1, bias=False), narrower
            )
            width = narrower
        self.encoder = nn.Sequential(*down, nn.Conv3d(widths[-1], settings.narrow, 1))
        self.middle = _middle(settings)
        self.decoder = nn.Sequential(
            nn.Conv3d(settings.narrow, widths[-1], 1), *up, nn.Conv3d(width, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """What comes out of images, float32, `(B, 1, D, H, W)`."""
        return self.decoder(self.middle(self.encoder(x))).float()


def _level(conv: nn.Module, width: int) -> list[nn.Module]:
    return [conv, nn.BatchNorm3d(width), nn.LeakyReLU(0.3)]


def _middle(settings: AutoencoderSettings) -> nn.Module:
    """The dense middle, which fits crops of one size alone, or none."""
    if not settings.latent:
        return nn.Identity()
    sides = [side // 2 ** len(settings.channels) for side in settings.patches.size]
    count = settings.narrow * sides[0] * sides[1] * sides[2]
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(settings.dropout),
        nn.Linear(count, settings.latent),
        nn.Linear(settings.latent, count),
        nn.Unflatten(1, (settings.narrow, *sides)),
    )


class Residual(MapScorer):
    """Scores by how far what comes out is from what went in.

    Arguments:
        settings: Sizes of the autoencoder.
        tiling: How it sees scans.
    """

    def __init__(self, settings: AutoencoderSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.network = Autoencoder(settings)

    def voxels(self, x: Tensor) -> Tensor:
        """The absolute residual."""
        return (x - self.network(x)).abs()


class AbsoluteError(nn.Module):
    """The autoencoder with its loss.

    Arguments:
        network: What is trained.
    """

    def __init__(self, network: Autoencoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The mean absolute error of images that come out, `(m, 1, D, H, W)`."""
        return {"loss": (x - self.network(x)).abs().mean()}


def build(settings: AutoencoderSettings, preprocess: PreprocessSettings) -> Residual:
    """Make an untrained autoencoder."""
    size = settings.patches.size
    factor = 2 ** len(settings.channels)
    multiple: Shape = size if settings.latent else (factor, factor, factor)
    if any(side % factor for side in size):
        raise ValueError(f"crops of {size} voxels are no multiple of {factor}")
    return Residual(settings, Tiling(preprocess, size, smooth=settings.smooth, multiple=multiple))


def phases(settings: AutoencoderSettings, rival: Residual, store: Store) -> Iterator[Phase]:
    """Train the autoencoder."""
    size = settings.patches.size
    check_patches(settings.patches, (1, *settings.channels), settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        return (drawn.images(size, device),)

    task = Task(AbsoluteError(rival.network), source.load, render, source.need(render))
    yield Phase("autoencoder", task, settings.loop)


PRESETS = {
    "tiny": AutoencoderSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        channels=(16, 32, 64),
        latent=0,
        narrow=4,
        loop=LoopSettings(steps=1_000, lr=1e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": AutoencoderSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=20_000, lr=5e-4, warmup=500, workers=8),
    ),
    # Baur et al.: batches of 8, Adam, up to 1,000 epochs that end early.
    "paper": AutoencoderSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=100_000, lr=1e-4, warmup=0, weight_decay=0.0, workers=12),
    ),
}
METHOD = Method(
    "autoencoder, Baur et al. 2021 in 3D: the residual of what passes a narrow middle",
    AutoencoderSettings,
    PRESETS,
    build,
    phases,
)
