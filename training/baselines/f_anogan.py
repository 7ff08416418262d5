"""f-AnoGAN: a GAN learns to draw healthy crops, an encoder to find the drawing nearest to a scan.

Schlegl et al., "f-AnoGAN: Fast unsupervised anomaly detection with generative adversarial
networks", Medical Image Analysis 2019, brought to 3D. First a Wasserstein GAN with gradient penalty
(Gulrajani et al., arXiv 1704.00028), five steps of the critic to one of the generator; then, with
both frozen, the encoder by their `izi_f`: the squared error of the image and of the critic's
features. The map is the residual of the image, as theirs. The norm of the gradient runs over all
voxels of a crop, and the critic has no norm over the batch, which the penalty forbids.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.map_scorer import MapScorer
from training.baselines.tiling import Tiling
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop import processes
from training.loop.loop import LoopSettings, Task

GAN_SHARE = 0.75
"""Of a budget of seconds, the rest of which the encoder takes."""


@dataclass(frozen=True)
class AnoganSettings(TrainedSettings):
    """Train f-AnoGAN on a store."""

    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(32, 48, 48), count=16)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each level, the finest first; each has half the resolution of the one before,
    the first that of half a crop."""
    latent: int = 128
    """Numbers that a crop is drawn from."""
    critic_steps: int = 5
    """Steps of the critic to one of the generator."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    kappa: float = 1.0
    """Weight of the critic's features in the loss of the encoder."""
    encoder_steps: int = 50_000
    """Steps of the encoder."""
    encoder_lr: float = 5e-5
    """Learning rate of the encoder."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


def _middle(settings: AnoganSettings) -> tuple[int, int, int, int]:
    """Channels and sides of the coarsest map."""
    factor = 2 ** len(settings.channels)
    d, h, w = (side // factor for side in settings.patches.size)
    return settings.channels[-1], d, h, w


class Generator(nn.Module):
    """Draws crops, values 0 to 1.

    Arguments:
        settings: Its sizes.
    """

    def __init__(self, settings: AnoganSettings) -> None:
        super().__init__()
        middle, widths = _middle(settings), (*settings.channels[::-1], settings.channels[0])
        self.start = nn.Sequential(
            nn.Linear(settings.latent, middle[0] * middle[1] * middle[2] * middle[3]),
            nn.Unflatten(1, middle),
            nn.BatchNorm3d(middle[0]),
            nn.ReLU(),
        )
        layers: list[nn.Module] = []
        for coarse, fine in pairwise(widths):
            layers += [nn.Upsample(scale_factor=2), nn.Conv3d(coarse, fine, 3, padding=1)]
            layers += [nn.BatchNorm3d(fine), nn.ReLU()]
        self.levels = nn.Sequential(*layers)
        self.end = nn.Conv3d(widths[-1], 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Draw from numbers `(B, latent)`: `(B, 1, D, H, W)`."""
        return torch.sigmoid(self.end(self.levels(self.start(z))))


class Reader(nn.Module):
    """Reads numbers off crops: the critic reads one, the encoder as many as the generator takes.

    Arguments:
        settings: Its sizes.
        out: Numbers.
    """

    def __init__(self, settings: AnoganSettings, out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fine, coarse in pairwise((1, *settings.channels)):
            layers += [nn.Conv3d(fine, coarse, 4, 2, padding=1), nn.LeakyReLU(0.2)]
        self.levels = nn.Sequential(*layers, nn.Flatten())
        width, d, h, w = _middle(settings)
        self.end = nn.Linear(width * d * h * w, out)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer reads, `(B, F)`."""
        return self.levels(x)

    def forward(self, x: Tensor) -> Tensor:
        """Read crops `(B, 1, D, H, W)`: `(B, out)`."""
        return self.end(self.levels(x))


class Anogan(MapScorer):
    """Scores by how far the nearest drawing is from the scan.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: AnoganSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.generator = Generator(settings)
        self.critic = Reader(settings, 1)
        self.encoder = Reader(settings, settings.latent)

    def voxels(self, x: Tensor) -> Tensor:
        """The absolute residual."""
        return (x - self.generator(self.encoder(x))).abs()


class Wasserstein(nn.Module):
    """Generator and critic with the loss of whose turn it is.

    Arguments:
        generator: Draws.
        critic: Judges.
        penalty: Weight of the gradient penalty.
    """

    def __init__(self, generator: Generator, critic: Reader, penalty: float) -> None:
        super().__init__()
        self.generator = generator
        self.critic = critic
        self.penalty = penalty

    def forward(self, real: Tensor, z: Tensor, share: Tensor, judges: Tensor) -> dict[str, Tensor]:
        """The loss of the critic or of the generator; the other one gets no gradient.

        Arguments:
            real: Crops, `(m, 1, D, H, W)`.
            z: What is drawn from, `(m, latent)`.
            share: Of the real crops in the mixtures that the penalty looks at, `(m, 1, 1, 1, 1)`.
            judges: Whether it is the critic's turn, bool, a scalar on the host.
        """
        # Second derivatives are not for reduced precision.
        with torch.autocast(real.device.type, enabled=False):
            if not judges:
                frozen = {name: weight.detach() for name, weight in self.critic.named_parameters()}
                drawn = self.generator(z)
                loss = -functional_call(self.critic, frozen, (drawn,)).mean()
                return {"loss": loss, "generator": loss.detach()}
            with torch.no_grad():
                drawn = self.generator(z)
            distance = self.critic(real).mean() - self.critic(drawn).mean()
            mixed = (share * real + (1 - share) * drawn).requires_grad_()
            penalty = gradient_penalty(self.critic, mixed)
            loss = self.penalty * penalty - distance
            return {"loss": loss, "distance": distance.detach(), "penalty": penalty.detach()}


def gradient_penalty(critic: nn.Module, mixed: Tensor) -> Tensor:
    """The mean squared difference from 1 of the norm of a critic's gradient, over whole crops.

    Arguments:
        critic: Gives one number for each crop.
        mixed: Between real and drawn crops, with a gradient, `(m, 1, D, H, W)`.
    """
    (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


class Izif(nn.Module):
    """The encoder with its loss.

    Arguments:
        encoder: What is trained.
        generator: Draws; stays as it is.
        critic: Its features are compared; stays as it is.
        kappa: Weight of the features.
    """

    def __init__(
        self, encoder: Reader, generator: Generator, critic: Reader, kappa: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.kappa = kappa
        # Not its parts: the loop would train them, and move the statistics of their norms.
        self._frozen = (generator, critic)

    def forward(self, real: Tensor) -> dict[str, Tensor]:
        """Compare crops `(m, 1, D, H, W)` with their drawings."""
        generator, critic = self._frozen
        drawn = generator(self.encoder(real))
        image = F.mse_loss(drawn.float(), real)
        features = F.mse_loss(critic.features(drawn).float(), critic.features(real).float())
        return {
            "loss": image + self.kappa * features,
            "image": image.detach(),
            "features": features.detach(),
        }


def build(settings: AnoganSettings, preprocess: PreprocessSettings) -> Anogan:
    """Make untrained networks."""
    size, factor = settings.patches.size, 2 ** len(settings.channels)
    if any(side % factor for side in size):
        raise ValueError(f"crops of {size} voxels are no multiple of {factor}")
    multiple: Shape = size
    return Anogan(settings, Tiling(preprocess, size, smooth=settings.smooth, multiple=multiple))


def phases(settings: AnoganSettings, rival: Anogan, store: Store) -> Iterator[Phase]:
    """Train the GAN, then the encoder."""
    check_patches(settings.patches, (1, *settings.channels), settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)
    turns = settings.critic_steps + 1

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        real, chances = drawn.images(settings.patches.size, device), drawn.chances(device)
        z = chances.normal((len(real), settings.latent))
        share = chances.even((len(real), 1, 1, 1, 1))
        # All processes take the same turn.
        step = drawn.index // processes.count()
        return real, z, share, torch.tensor(step % turns < settings.critic_steps)

    gan = Wasserstein(rival.generator, rival.critic, settings.penalty)
    task = Task(gan, source.load, render, source.need(render), idle_weights=True)
    yield Phase("gan", task, settings.loop, GAN_SHARE)

    rival.generator.eval().requires_grad_(False)
    rival.critic.eval().requires_grad_(False)

    def crops(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        rival.generator.to(device)
        rival.critic.to(device)
        return (drawn.images(settings.patches.size, device),)

    encoder = Izif(rival.encoder, rival.generator, rival.critic, settings.kappa)
    loop = replace(settings.loop, steps=settings.encoder_steps, lr=settings.encoder_lr)
    task = Task(encoder, source.load, crops, source.need(crops))
    yield Phase("encoder", task, loop, 1 - GAN_SHARE)


# Adam of the WGAN-GP: no momentum. A clip would weigh the two sides' losses anew.
_GAN = LoopSettings(lr=1e-4, warmup=0, betas=(0.0, 0.9), clip=1e6, weight_decay=0.0)
PRESETS = {
    "tiny": AnoganSettings(
        patches=PatchSettings(size=(16, 24, 24), count=8),
        channels=(16, 32, 64),
        latent=32,
        encoder_steps=500,
        encoder_lr=1e-3,
        loop=replace(_GAN, steps=1_500, lr=5e-4, average=0.99, precision="32-true"),
    ),
    "small": AnoganSettings(
        encoder_steps=10_000, encoder_lr=2e-4, loop=replace(_GAN, steps=40_000, workers=8)
    ),
    # Schlegl et al.: crops of 64 pixels in batches of 64, z of 128; the encoder 50,000 steps of
    # RMSProp at 5e-5.
    "paper": AnoganSettings(
        patches=PatchSettings(size=(64, 64, 64), count=64),
        channels=(64, 128, 256, 512),
        loop=replace(_GAN, steps=300_000, workers=12),
    ),
}
METHOD = Method(
    "f-AnoGAN, Schlegl et al. 2019 in 3D: the residual from the nearest crop that a GAN draws",
    AnoganSettings,
    PRESETS,
    build,
    phases,
)
