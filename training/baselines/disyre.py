"""DISYRE: a network restores what was corrupted by degrees, told by how much.

Naval Marimont et al., "DISYRE: Diffusion-Inspired SYnthetic REstoration for Unsupervised Anomaly
Detection", ISBI 2024, arXiv 2311.15453, and its second version, "Ensembled Cold-Diffusion
Restorations for Unsupervised Anomaly Detection", MICCAI 2024, arXiv 2407.06635, brought to 3D,
written from their abstracts and from facts of the authors' code, which has no licence. In a soft
shape m a crop becomes (1 - alpha m) x + alpha m y. In the first version y is a foreign patch. In the
second, whose shape, texture and bias are drawn apart, the patch is first brought to the range of
what it replaces, and then some grey levels within the shape are made brighter or darker. A screening
asks for restorations as of several severities, and takes their mean residual: each of the scan
itself in the second version; each of what the one before left in the first.
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

RATES = (1e-3, 0.2)
"""First and last of the linear schedule of a diffusion, from whose end a corruption begins."""


@dataclass(frozen=True)
class DisyreSettings(TrainedSettings):
    """Train DISYRE on a store."""

    patches: PatchSettings = field(default_factory=PatchSettings)
    """How crops are drawn; a screening sees tiles of their size."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each level of the UNet, finest first."""
    timesteps: int = 100
    """Steps of the corruption."""
    looks: int = 4
    """Steps that a screening restores from, evenly spaced, the last one first."""
    ensemble: bool = True
    """Restore the scan itself from each of them; without it what the one before left."""
    disentangled: bool = True
    """Match the texture and add a bias; without it a foreign patch is put in as it is."""
    least: int = 6
    """Voxels of the side of an anomaly at least."""
    largest: float = 0.35
    """Side of an anomaly at most, as a share of that of the crop."""
    soft: int = 4
    """Voxels over which the edge of an anomaly falls off, at most."""
    levels: int = 5
    """Grey levels, each of which a bias changes or not."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


class Disyre(MapScorer):
    """Scores by what restorations change.

    Arguments:
        settings: Sizes of the network, and what a screening restores.
        tiling: How it sees scans.
    """

    severities: Tensor

    def __init__(self, settings: DisyreSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.network = EncoderDecoder(2, 1, settings.channels)
        self.steps, self.ensemble = settings.timesteps, settings.ensemble
        self.looks = spaced(settings.timesteps, settings.looks)
        self.register_buffer("severities", severities(settings.timesteps), persistent=False)

    def step_of(self, severity: Tensor) -> Tensor:
        """The nearest step of severities `(B,)`, int64."""
        return torch.bucketize(severity, (self.severities[1:] + self.severities[:-1]) / 2)

    def restored(self, x: Tensor, step: Tensor) -> Tensor:
        """The healthy image that the network sees in a corrupted one.

        Arguments:
            x: Values 0 to 1, `(B, 1, D, H, W)`.
            step: Of the corruption, `(B,)`.
        """
        when = (step.float() / self.steps).reshape(-1, 1, 1, 1, 1).expand_as(x)
        return self.network(torch.cat([x, when], dim=1))

    def voxels(self, x: Tensor) -> Tensor:
        """The mean absolute residual of the restorations."""
        shown, total = x, torch.zeros_like(x)
        for step, after in zip(self.looks, [*self.looks[1:], 0], strict=True):
            restored = self.restored(shown, torch.full((len(x),), step, device=x.device))
            total = total + (shown - restored).abs()
            if not self.ensemble:
                # What still differs shrinks as the corruption does (cold diffusion).
                left = self.severities[after] / self.severities[step]
                shown = (restored + left * (shown - restored)).clamp(0, 1)
        return total / len(self.looks)


def severities(steps: int) -> Tensor:
    """Share of a corruption at each step, 0 at step 0 and nearly 1 at the last, `(steps + 1,)`."""
    kept = torch.cumprod(1 - torch.linspace(*RATES, steps), dim=0).sqrt()
    return torch.cat([torch.zeros(1), kept.flip(0)])


def spaced(steps: int, count: int) -> list[int]:
    """Evenly spaced steps, the last one first."""
    return [round(steps * (count - number) / count) for number in range(count)]


class Restoring(nn.Module):
    """The network with its loss.

    Arguments:
        rival: What is trained.
    """

    def __init__(self, rival: Disyre) -> None:
        super().__init__()
        self.rival = rival

    def forward(self, changed: Tensor, clean: Tensor, severity: Tensor) -> dict[str, Tensor]:
        """The mean squared error of restorations.

        Arguments:
            changed: Corrupted, `(m, 1, D, H, W)`.
            clean: Not.
            severity: How much, `(m,)`.
        """
        restored = self.rival.restored(changed, self.rival.step_of(severity))
        return {"loss": F.mse_loss(restored, clean)}


def matched(foreign: Tensor, image: Tensor, inside: Tensor) -> Tensor:
    """Bring a foreign crop to the range of grey values that an image has within a mask.

    Arguments:
        foreign: Values 0 to 1, `(1, D, H, W)`.
        image: The same shape.
        inside: Where, bool, the same shape.
    """
    (low, high), (least, most) = (
        (one.masked_fill(~inside, 1).amin(), one.masked_fill(~inside, 0).amax())
        for one in (foreign, image)
    )
    scaled = (foreign - low) / (high - low).clamp(min=1e-3) * (most - least) + least
    return scaled.clamp(0, 1)


def biased(image: Tensor, share: Tensor, shift: float, levels: int, chances: Chances) -> Tensor:
    """Make some grey levels within a shape brighter or darker.

    Arguments:
        image: Values 0 to 1, `(1, D, H, W)`.
        share: How much of each voxel the shape fills, 0 to 1, the same shape.
        shift: What is added.
        levels: How many there are; each is chosen by its share of the shape, and all where none is.
        chances: The sources of chance.
    """
    numbers = torch.arange(levels, device=image.device).reshape(-1, 1, 1, 1)
    level = (image * levels).long().clamp(max=levels - 1) == numbers
    inside = share > 0
    portion = (level & inside).flatten(1).sum(1) / inside.sum().clamp(min=1)
    chosen = chances.even((levels,)) < portion
    chosen = (chosen | ~chosen.any()).reshape(-1, 1, 1, 1)
    where = softened((level & chosen).any(dim=0), 1)
    return (image + shift * share * where).clamp(0, 1)


def corrupted(
    image: Tensor, foreign: Tensor, share: Tensor, settings: DisyreSettings, chances: Chances
) -> tuple[Tensor, Tensor]:
    """Corrupt a crop within a shape, by chance little or much.

    Arguments:
        image: Values 0 to 1, `(1, D, H, W)`.
        foreign: Another crop.
        share: How much of each voxel the shape fills, 0 to 1, the same shape.
        settings: How.
        chances: The sources of chance.

    Returns:
        The corrupted crop and its severity, 0 to 1, a scalar: the share of the foreign crop or the
        greatest change by the bias, whichever is more.
    """
    alpha, inside = chances.number(), share > 0
    severity = alpha * inside.any()
    if not settings.disentangled:
        return blended(image, foreign, alpha * share, inside), severity
    changed = blended(image, matched(foreign, image, inside), alpha * share, inside)
    found = biased(changed, share, chances.number(-1.0, 1.0), settings.levels, chances)
    return found, torch.maximum(severity, (found - changed).abs().amax())


def with_anomalies(
    clean: Tensor, body: Tensor, settings: DisyreSettings, chances: Chances
) -> tuple[Tensor, Tensor]:
    """Corrupt every crop of a batch.

    Arguments:
        clean: Values 0 to 1, `(m, 1, D, H, W)`.
        body: Where there may be anomalies, bool, the same shape.
        settings: How.
        chances: The sources of chance.

    Returns:
        The corrupted crops, and the severity of each, `(m,)`.
    """
    changed, found = [], []
    for number, other in enumerate(others(len(clean), chances)):
        image = clean[number]
        mask = draw_mask(image.shape[1:], settings.least, settings.largest, chances)
        share = softened(mask, chances.whole(settings.soft + 1))[None] * body[number]
        foreign = clean[other].flip(chances.axes())
        one, severity = corrupted(image, foreign, share, settings, chances)
        changed.append(one)
        found.append(severity)
    return torch.stack(changed), torch.stack(found)


def build(settings: DisyreSettings, preprocess: PreprocessSettings) -> Disyre:
    """Make an untrained network."""
    if not 1 <= settings.looks <= settings.timesteps:
        raise ValueError(f"{settings.timesteps} steps cannot be looked at {settings.looks} times")
    factor = 2 ** (len(settings.channels) - 1)
    tiling = Tiling(
        preprocess, settings.patches.size, smooth=settings.smooth, multiple=(factor,) * 3
    )
    return Disyre(settings, tiling)


def phases(settings: DisyreSettings, rival: Disyre, store: Store) -> Iterator[Phase]:
    """Train the network."""
    check_patches(settings.patches, settings.channels, settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        clean = drawn.images(settings.patches.size, device)
        body = drawn.bodies(settings.patches.size, device)
        changed, severity = with_anomalies(clean, body, settings, drawn.chances(device))
        return changed, clean, severity

    task = Task(Restoring(rival), source.load, render, source.need(render))
    yield Phase("disyre", task, settings.loop)


PRESETS = {
    "tiny": DisyreSettings(
        patches=PatchSettings(size=(32, 48, 48), count=4),
        channels=(8, 16, 32),
        loop=LoopSettings(steps=600, lr=1e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": DisyreSettings(
        patches=PatchSettings(count=8),
        loop=LoopSettings(steps=20_000, lr=5e-4, warmup=500, workers=8),
    ),
    # Their code: 96 slices of 128 pixels in a step, six levels, AdamW at 1e-4 with betas (.95,
    # .999), 100,000 steps, anomalies of 10 to 44 pixels; a crop here has 96 slices itself.
    "paper": DisyreSettings(
        patches=PatchSettings(size=(96, 128, 128), count=4),
        channels=(32, 64, 96, 128, 256, 256),
        least=10,
        loop=LoopSettings(
            steps=100_000, lr=1e-4, warmup=500, weight_decay=1e-6, betas=(0.95, 0.999), workers=12
        ),
    ),
}
METHOD = Method(
    "DISYRE, Naval Marimont et al. 2024 in 3D: crops restored from corruptions of known severity",
    DisyreSettings,
    PRESETS,
    build,
    phases,
)
