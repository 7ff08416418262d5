"""The denoising autoencoder (DAE): a UNet that takes coarse noise away takes lesions for noise.

Kascenas, Pugeault and O'Neil, "Denoising Autoencoders for Unsupervised Anomaly Detection in Brain
MRI", MIDL 2022, brought to 3D: Gaussian noise drawn on a grid that is `coarse` times coarser than
the image, brought up linearly and moved by chance, is added within the body; the squared error
counts there; a screening adds no noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.encoder_decoder import EncoderDecoder
from training.baselines.parts.map_scorer import MapScorer
from training.baselines.tiling import Tiling
from training.data.chance import Chances
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop.loop import LoopSettings, Task


@dataclass(frozen=True)
class DenoisingSettings(TrainedSettings):
    """Train a denoising autoencoder on a store."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """How crops are drawn; a screening sees tiles of their size."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each level of the UNet, finest first."""
    noise: float = 0.2
    """Standard deviation of the noise; the image runs from 0 to 1."""
    coarse: int = 8
    """Voxels of the image for one of the noise, along each axis."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Residual(MapScorer):
    """Scores by what a denoiser would change.

    Arguments:
        settings: Sizes of the network.
        tiling: How it sees scans.
    """

    def __init__(self, settings: DenoisingSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.network = EncoderDecoder(1, 1, settings.channels)

    def voxels(self, x: Tensor) -> Tensor:
        """The absolute residual."""
        return (x - self.network(x)).abs()


class Denoising(nn.Module):
    """The denoiser with its loss.

    Arguments:
        network: What is trained.
    """

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor, clean: Tensor, body: Tensor) -> dict[str, Tensor]:
        """The mean squared error within the body of images `(m, 1, D, H, W)`."""
        error = (self.network(noisy) - clean).square()
        return {"loss": (error * body).sum() / body.sum().clamp(min=1)}


def coarse_noise(shape: torch.Size, coarse: int, chances: Chances) -> Tensor:
    """Draw noise that varies slowly.

    Arguments:
        shape: `(m, 1, D, H, W)`.
        coarse: Voxels of the image for one of the noise.
        chances: The sources of chance.

    Returns:
        Noise of standard deviation 1 before it is brought up, `shape`.
    """
    sides = [-(-side // coarse) for side in shape[2:]]
    drawn = chances.normal([*shape[:2], *sides])
    # A whole number of coarse voxels, moved around by chance, so that its grid is not learnt.
    fine = F.interpolate(drawn, scale_factor=coarse, mode="trilinear")
    moves = [chances.whole(side) for side in fine.shape[2:]]
    d, h, w = shape[2:]
    return fine.roll(moves, dims=(2, 3, 4))[:, :, :d, :h, :w]


def build(settings: DenoisingSettings, preprocess: PreprocessSettings) -> Residual:
    """Make an untrained denoiser."""
    factor = 2 ** (len(settings.channels) - 1)
    multiple: Shape = (factor, factor, factor)
    tiling = Tiling(preprocess, settings.patches.size, smooth=settings.smooth, multiple=multiple)
    return Residual(settings, tiling)


def phases(settings: DenoisingSettings, rival: Residual, store: Store) -> Iterator[Phase]:
    """Train the denoiser."""
    check_patches(settings.patches, settings.channels, settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        clean = drawn.images(settings.patches.size, device)
        body = drawn.bodies(settings.patches.size, device)
        noise = coarse_noise(clean.shape, settings.coarse, drawn.chances(device))
        return clean + settings.noise * noise * body, clean, body

    task = Task(Denoising(rival.network), source.load, render, source.need(render))
    yield Phase("denoising", task, settings.loop)


PRESETS = {
    "tiny": DenoisingSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        channels=(8, 16, 32),
        loop=LoopSettings(steps=1_000, lr=1e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": DenoisingSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=20_000, lr=5e-4, warmup=500, workers=8),
    ),
    # Their code: four levels from 64 channels on, noise of .2, Adam at 1e-4 along a cosine, decay
    # of 1e-5, batches of 16, 2,100 epochs of 32 steps.
    "paper": DenoisingSettings(
        patches=PatchSettings(count=16),
        channels=(64, 128, 256, 512),
        loop=LoopSettings(steps=67_200, lr=1e-4, warmup=0, weight_decay=1e-5, workers=12),
    ),
}
METHOD = Method(
    "denoising autoencoder, Kascenas et al. 2022 in 3D: what a UNet takes for coarse noise",
    DenoisingSettings,
    PRESETS,
    build,
    phases,
)
