"""RD++: a decoder that restores a frozen network's features from a projection that denoises them.

Tien et al., "Revisiting Reverse Distillation for Anomaly Detection", CVPR 2023, slice by slice. The
teacher is a frozen network for photographs. Projections, one a stage, are trained to be the same
for a slice and for the slice with smooth noise in it (cosine), to stay near the teacher's features
of the noisy slice up to a margin (contrast), and to be alike over slices (optimal transport). From
them a bottleneck and a decoder restore the teacher's features; the score is the cosine distance.

Their code gives the optimal transport a set of slices and the same set in another order, whose
distance is 0 for any weights; here it compares the features of a slice with those of another one.
And it gives the contrast the label of pairs that belong together, for which the margin has no part;
here the label is that of pairs that do not, unless `margin` is None. The noise is theirs but for its
lattice: six octaves of Perlin's noise, falling by .6, for simplex noise.
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
from training.baselines.parts.perlin import perlin
from training.baselines.parts.reverse import (
    Bottleneck,
    FeatureDecoder,
    cosine_maps,
    whole_cosine,
)
from training.baselines.parts.sinkhorn import divergence
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures, inside_of
from training.baselines.parts.slice_scorer import SliceScorer
from training.baselines.tiling import Tiling
from training.data.chance import Chances
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.flags import FLAT
from training.loop.loop import LoopSettings, Task

OCTAVES, FALL = 6, 0.6
"""Lattices of the noise, and the strength of each relative to the one before."""
WEIGHTS = {"transport": 1.0, "denoised": 0.01, "contrast": 0.1}
"""Of the parts of the projections' loss, which is divided by their sum."""


@dataclass(frozen=True)
class RdppSettings(TrainedSettings):
    """Train RD++ on a store."""

    features: Annotated[FeatureSettings, FLAT] = field(
        default_factory=lambda: FeatureSettings(groups=(1, 2, 4))
    )
    """Which features of slices."""
    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(4, 192, 192), count=4)
    )
    """How crops are drawn; a screening sees tiles of their size."""
    width: int = 256
    """Channels of the bottleneck and of the coarsest level of the decoder."""
    projections: float = 0.2
    """Weight of the projections' loss."""
    margin: float | None = -0.5
    """Cosine down to which a projection and the teacher's noisy features are pushed apart; None
    pulls them together, as the authors' code does."""
    strength: float = 0.2
    """Of the noise; the image runs from 0 to 1."""
    points: int = 64
    """Features of a slice that optimal transport compares, at each stage."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""


def projection(width: int) -> nn.Sequential:
    """Four 3x3 convolutions through a quarter of the channels."""
    half, quarter = max(1, width // 2), max(1, width // 4)
    layers: list[nn.Module] = []
    for inputs, outputs in ((width, half), (half, quarter), (quarter, half), (half, width)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.InstanceNorm2d(outputs)]
        layers.append(nn.LeakyReLU())
    # The last activation is left out: EfficientNet's features have both signs.
    return nn.Sequential(*layers[:-1])


class Student(nn.Module):
    """Projections, bottleneck and decoder.

    Arguments:
        channels: Of the teacher's stages, finest first.
        width: Of bottleneck and decoder.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(projection(channel) for channel in channels)
        self.bottleneck = Bottleneck(channels, width)
        self.decoder = FeatureDecoder(width, channels, width)

    def projected(self, maps: list[Tensor]) -> list[Tensor]:
        """The projection of every stage."""
        return [p(level).float() for p, level in zip(self.projections, maps, strict=True)]

    def restored(self, projected: list[Tensor]) -> list[Tensor]:
        """The teacher's features, from their projections."""
        sizes = [level.shape[2:] for level in projected]
        return self.decoder(self.bottleneck(projected), sizes)


class Rdpp(SliceScorer):
    """Scores by the cosine distance of the teacher's features and the student's.

    Arguments:
        settings: Sizes of the networks.
        tiling: How it sees scans.
    """

    def __init__(self, settings: RdppSettings, tiling: Tiling) -> None:
        super().__init__(tiling)
        self.describe = SliceFeatures(settings.features)
        self.student = Student(self.describe.channels, settings.width)

    def grid(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """The mean over stages, on the grid of the finest."""
        maps = self.describe.maps(x)
        restored = self.student.restored(self.student.projected(maps))
        inside = inside_of(where, (x.shape[2], *maps[0].shape[2:]))
        return cosine_maps(maps, restored, len(x), inside)


class Distillation(nn.Module):
    """The student with its losses.

    Arguments:
        student: What is trained.
        settings: Weights and margin.
    """

    def __init__(self, student: Student, settings: RdppSettings) -> None:
        super().__init__()
        self.student = student
        self.settings = settings

    def forward(self, order: Tensor, chosen: Tensor, *maps: Tensor) -> dict[str, Tensor]:
        """Restore the teacher's features of slices.

        Arguments:
            order: Another slice for each, int64, `(N,)`.
            chosen: Shares of the places that transport looks at, 0 to 1, `(points,)`.
            maps: The teacher's features of clean slices, finest first, then of noisy ones,
                `(N, C, H, W)` each.

        Returns:
            `loss`, and its parts.
        """
        clean, noisy = list(maps[: len(maps) // 2]), list(maps[len(maps) // 2 :])
        projected = self.student.projected(clean)
        parts = {
            "transport": transported(projected, order, chosen),
            "denoised": denoised(self.student.projected(noisy), projected),
            "contrast": contrast(noisy, projected, self.settings.margin),
        }
        total = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
        restored = whole_cosine(clean, self.student.restored(projected))
        loss = restored + self.settings.projections * total / sum(WEIGHTS.values())
        told = {name: part.detach() for name, part in parts.items()}
        return {"loss": loss, "restored": restored.detach()} | told


def transported(projected: list[Tensor], order: Tensor, chosen: Tensor) -> Tensor:
    """Sinkhorn's divergence of the features of slices and of others, unit vectors, over stages."""
    parts = []
    for level in projected:
        rows = F.normalize(level.flatten(2).transpose(1, 2), dim=-1)
        rows = rows[:, (chosen * rows.shape[1]).long().clamp(max=rows.shape[1] - 1)]
        parts.append(divergence(rows, rows[order]).mean())
    return torch.stack(parts).sum()


def denoised(noisy: list[Tensor], clean: list[Tensor]) -> Tensor:
    """The cosine distance of projections of noisy and clean slices, place by place, over stages."""
    parts = [1 - F.cosine_similarity(a, b).mean() for a, b in zip(noisy, clean, strict=True)]
    return torch.stack(parts).sum()


def contrast(noisy: list[Tensor], projected: list[Tensor], margin: float | None) -> Tensor:
    """How alike the teacher's noisy features and the projections are, above a margin, over stages.

    Arguments:
        noisy: The teacher's features of noisy slices.
        projected: The projections of clean ones.
        margin: Cosine below which nothing is lost; None for how unlike they are.
    """
    alike = [
        F.cosine_similarity(a.flatten(1), b.flatten(1))
        for a, b in zip(noisy, projected, strict=True)
    ]
    parts = [(1 - one if margin is None else F.relu(one - margin)).mean() for one in alike]
    return torch.stack(parts).sum()


def with_noise(clean: Tensor, strength: float, chances: Chances) -> Tensor:
    """Add smooth noise to every slice, in a box of up to an eighth of its sides.

    Arguments:
        clean: Values 0 to 1, `(B, 1, D, H, W)`.
        strength: Of the noise.
        chances: The sources of chance.
    """
    noisy = clean.clone()
    count, _, depth, height, width = clean.shape
    for place in range(count * depth):
        h, w = (
            min(max(4, side // 26) + chances.whole(max(1, side // 8 - 4)), side)
            for side in (height, width)
        )
        top, left = chances.whole(height - h + 1), chances.whole(width - w + 1)
        noise = torch.zeros(h, w, device=clean.device)
        for octave in range(OCTAVES):
            cells = (1, min(2**octave, h), min(2**octave, w))
            noise += FALL**octave * perlin((1, h, w), cells, chances)[0]
        box = (slice(top, top + h), slice(left, left + w))
        noisy[place // depth, 0, place % depth][box] += strength * noise
    return noisy


def build(settings: RdppSettings, preprocess: PreprocessSettings) -> Rdpp:
    """Make an untrained student."""
    return Rdpp(settings, Tiling(preprocess, settings.patches.size, smooth=settings.smooth))


def phases(settings: RdppSettings, rival: Rdpp, store: Store) -> Iterator[Phase]:
    """Train projections, bottleneck and decoder together."""
    check_patches(settings.patches, (1,), settings.loop)
    rival.describe.load(settings.features)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        rival.describe.to(device)
        clean, chances = drawn.images(settings.patches.size, device), drawn.chances(device)
        noisy = with_noise(clean, settings.strength, chances)
        maps = [*rival.describe.maps(clean), *rival.describe.maps(noisy)]
        order = chances.order(len(maps[0]))
        chosen = chances.even((settings.points,))
        return order, chosen, *maps

    objective = Distillation(rival.student, settings)
    yield Phase("rdpp", Task(objective, source.load, render, source.need(render)), settings.loop)


PRESETS = {
    "tiny": RdppSettings(
        patches=PatchSettings(size=(2, 96, 96), count=4),
        width=64,
        loop=LoopSettings(steps=300, lr=2e-3, warmup=20, average=0.99, precision="32-true"),
    ),
    "small": RdppSettings(
        loop=LoopSettings(steps=10_000, lr=2e-3, warmup=200, betas=(0.5, 0.999), workers=8),
    ),
    # Tien et al.: Adam (.5, .999), the projections at 1e-3, the rest at 5e-3, pictures of 256
    # pixels in batches of 16, and a number of epochs chosen for each of their sets.
    "paper": RdppSettings(
        width=512,
        loop=LoopSettings(
            steps=40_000, lr=5e-3, warmup=0, betas=(0.5, 0.999), weight_decay=0.0, workers=12
        ),
    ),
}
METHOD = Method(
    "RD++, Tien et al. 2023 by slices: what a student cannot restore of a frozen network's features",
    RdppSettings,
    PRESETS,
    build,
    phases,
    files=lambda settings: {"features": features_file(settings.features.features)},
)
