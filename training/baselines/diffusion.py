"""Patched diffusion: one patch after the other is drowned in noise and restored by its surroundings.

Behrendt et al., "Patched Diffusion Models for Unsupervised Anomaly Detection in Brain MRI", MIDL
2023, arXiv 2303.03758, brought to 3D, written from the paper and from facts of its code, which has
no licence: a row that the later version of Screener's Table 2 has. A denoising diffusion model (Ho
et al., arXiv 2006.11239) predicts the clean image; noise lies within one patch of a grid, and the
error (L1) counts there; a screening restores each patch of the grid from its surroundings and a
noise of half of all steps, in one go. Noise varies slowly: octaves of Perlin's noise, where theirs
is simplex noise. One step of a network without attention, where theirs is OpenAI's UNet.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.encoder_decoder import EncoderDecoder
from training.baselines.parts.map_scorer import MapScorer
from training.baselines.parts.perlin import perlin
from training.baselines.tiling import Tiling
from training.data.chance import Chances, chances_of
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop.loop import LoopSettings, Task

FALL = 0.8
"""Strength of each octave of the noise relative to the coarser one."""
OFFSET = 0.008
"""Of the cosine schedule, near its beginning."""
SCREENING = 2011
"""Decides the noise of a screening: the same for every tile, as its score may not be chance."""


@dataclass(frozen=True)
class DiffusionSettings(TrainedSettings):
    """Train a patched diffusion model on a store."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """How crops are drawn; a screening sees tiles of their size."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each level of the UNet, finest first."""
    patch: Shape = (32, 48, 48)
    """Voxels of a patch; crops are multiples of it."""
    timesteps: int = 1000
    """Steps of the diffusion."""
    screened: int = 500
    """Step whose noise a screening restores from."""
    octaves: int = 5
    """Lattices of the noise, of 1, 2, 4 ... cells along a side; 0 for white noise."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class PatchedDiffusion(MapScorer):
    """Scores by how far a patch is from what its surroundings make of it.

    Arguments:
        settings: Sizes of the network and of the noise.
        tiling: How it sees scans.
    """

    noise: Tensor

    def __init__(self, settings: DiffusionSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.network = EncoderDecoder(2, 1, settings.channels)
        self.patch, self.steps, self.screened = (
            settings.patch,
            settings.timesteps,
            settings.screened,
        )
        chances = chances_of(SCREENING, torch.device("cpu"))
        drawn = smooth_noise(settings.patch, settings.octaves, chances)
        self.register_buffer("noise", drawn, persistent=False)

    def restored(self, noisy: Tensor, step: Tensor) -> Tensor:
        """The clean image that the network sees in a noisy one.

        Arguments:
            noisy: `(B, 1, D, H, W)`, -1 to 1 without noise.
            step: Of the diffusion, `(B,)`.
        """
        when = (step.float() / self.steps).reshape(-1, 1, 1, 1, 1).expand_as(noisy)
        return self.network(torch.cat([noisy, when], dim=1))

    def voxels(self, x: Tensor) -> Tensor:
        """The absolute residual, patch by patch."""
        image, found = 2 * x - 1, torch.zeros_like(x)
        step = torch.full((len(x),), self.screened, device=x.device)
        for box in boxes(x.shape[2:], self.patch):
            noisy = image.clone()
            noisy[..., *box] = drowned(image[..., *box], self.noise, step, self.steps)
            found[..., *box] = (self.restored(noisy, step) - image)[..., *box].abs()
        return found


def boxes(shape: torch.Size, patch: Shape) -> list[tuple[slice, slice, slice]]:
    """The grid of patches of an image."""
    starts = [range(0, side, extent) for side, extent in zip(shape, patch, strict=True)]
    return [
        (slice(d, d + patch[0]), slice(h, h + patch[1]), slice(w, w + patch[2]))
        for d, h, w in product(*starts)
    ]


def kept(step: Tensor, steps: int) -> Tensor:
    """Share of the image's variance that a step leaves (Nichol and Dhariwal, arXiv 2102.09672).

    Arguments:
        step: 0 to `steps`, any shape.
        steps: Of the diffusion.
    """
    first, now = (
        torch.cos((share + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
        for share in (torch.zeros_like(step, dtype=torch.float32), step.float() / steps)
    )
    return (now / first).clamp(0, 1)


def drowned(image: Tensor, noise: Tensor, step: Tensor, steps: int) -> Tensor:
    """Images `(B, 1, ...)` with the noise of a step `(B,)`."""
    share = kept(step, steps).reshape(-1, 1, 1, 1, 1)
    return share.sqrt() * image + (1 - share).sqrt() * noise


def smooth_noise(shape: Shape, octaves: int, chances: Chances) -> Tensor:
    """Draw noise of mean 0 and variance 1 that varies slowly, `shape`."""
    if not octaves:
        return chances.normal(shape)
    total = torch.zeros(shape, device=chances.device)
    for octave in range(octaves):
        # Not 1 cell, whose noise is 0 at all corners of the patch.
        d, h, w = (min(side, 2**octave + 1) for side in shape)
        total = total + FALL**octave * perlin(shape, (d, h, w), chances)
    return (total - total.mean()) / total.std().clamp(min=1e-6)


class Diffusing(nn.Module):
    """The network with its loss.

    Arguments:
        rival: What is trained.
    """

    def __init__(self, rival: PatchedDiffusion) -> None:
        super().__init__()
        self.rival = rival

    def forward(
        self, noisy: Tensor, clean: Tensor, step: Tensor, mask: Tensor
    ) -> dict[str, Tensor]:
        """The absolute error within the patch.

        Arguments:
            noisy: With a patch of noise, `(m, 1, D, H, W)`.
            clean: Without.
            step: Of the diffusion, `(m,)`.
            mask: Where the patch is, bool, as `clean`.
        """
        error = (self.rival.restored(noisy, step) - clean).abs()
        return {"loss": (error * mask).sum() / mask.sum().clamp(min=1)}


def with_patch(
    clean: Tensor, settings: DiffusionSettings, chances: Chances
) -> tuple[Tensor, Tensor, Tensor]:
    """Drown one patch of the grid of each crop in noise.

    Arguments:
        clean: -1 to 1, `(m, 1, D, H, W)`.
        settings: Patches and noise.
        chances: The sources of chance.

    Returns:
        The noisy crops, the step of each, and where the patches are.
    """
    noisy, mask = clean.clone(), torch.zeros_like(clean, dtype=torch.bool)
    grid = boxes(clean.shape[2:], settings.patch)
    step = 1 + chances.below(settings.timesteps, len(clean))
    for number in range(len(clean)):
        box = grid[chances.whole(len(grid))]
        noise = smooth_noise(settings.patch, settings.octaves, chances)
        one = slice(number, number + 1)
        noisy[one, :, *box] = drowned(clean[one, :, *box], noise, step[one], settings.timesteps)
        mask[one, :, *box] = True
    return noisy, step, mask


def build(settings: DiffusionSettings, preprocess: PreprocessSettings) -> PatchedDiffusion:
    """Make an untrained network."""
    factor = 2 ** (len(settings.channels) - 1)
    sides = zip(settings.patches.size, settings.patch, strict=True)
    if any(side % extent for side, extent in sides):
        raise ValueError(f"crops {settings.patches.size} are no multiple of {settings.patch}")
    d, h, w = (math.lcm(factor, extent) for extent in settings.patch)
    tiling = Tiling(preprocess, settings.patches.size, smooth=settings.smooth, multiple=(d, h, w))
    return PatchedDiffusion(settings, tiling)


def phases(settings: DiffusionSettings, rival: PatchedDiffusion, store: Store) -> Iterator[Phase]:
    """Train the network."""
    check_patches(settings.patches, settings.channels, settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        clean = 2 * drawn.images(settings.patches.size, device) - 1
        noisy, step, mask = with_patch(clean, settings, drawn.chances(device))
        return noisy, clean, step, mask

    task = Task(Diffusing(rival), source.load, render, source.need(render))
    yield Phase("diffusion", task, settings.loop)


PRESETS = {
    "tiny": DiffusionSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        channels=(8, 16, 32),
        patch=(16, 24, 24),
        loop=LoopSettings(steps=600, lr=1e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": DiffusionSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=20_000, lr=5e-4, warmup=500, workers=8),
    ),
    # Behrendt et al.: patches of 48 of 96 pixels of 2 mm, first width 128, L1, Adam at 1e-4,
    # 1,600 epochs.
    "paper": DiffusionSettings(
        patches=PatchSettings(count=16),
        channels=(64, 128, 256, 256),
        loop=LoopSettings(steps=200_000, lr=1e-4, warmup=0, weight_decay=0.0, workers=12),
    ),
}
METHOD = Method(
    "patched diffusion, Behrendt et al. 2023 in 3D: patches restored from noise and surroundings",
    DiffusionSettings,
    PRESETS,
    build,
    phases,
)
