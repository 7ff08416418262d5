"""A whole-volume model: the maps of an encoder, and a discriminator and a density that read them.

The whole scan goes through the encoder, so there are no tiles and no seams. What it costs in
memory is bounded: the first stage, whose activations are by far the largest, goes slab by slab.
"""

from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from ctscreener.conditional import new_density
from ctscreener.device import sent
from ctscreener.encoder import STEM_STRIDE, Encoder, EncoderSettings
from ctscreener.heads import (
    Discriminator,
    GaussianSettings,
    HeadSettings,
    Maps,
    Source,
)
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from ctscreener.scorer import Step, WholeScorer
from ctscreener.shifts import SHIFTS, Box, encode_shifts, finest, mean_over_shifts, on_finest

PLAIN = PreprocessSettings(
    spacing=(3.0, 1.5, 1.5), window=(-1000.0, 200.0), clahe_clip=0.0, multiple=(1, 1, 1)
)
"""What the encoder was trained on: HU, not equalized."""


@dataclass(frozen=True)
class Part:
    """How one of the scores enters the sum.

    Arguments:
        weight: How much it counts; 0 leaves it out.
        centre: What is taken from it first.
        scale: What it is divided by then, above 0.
    """

    weight: float = 1.0
    centre: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that make no score."""
        if not (self.scale > 0 and np.isfinite([self.weight, self.centre, self.scale]).all()):
            raise ValueError(f"Expected finite numbers and a scale above 0, found {self}.")

    def of(self, scores: Tensor) -> Tensor:
        """What scores of the part add to the sum."""
        return self.weight * (scores - self.centre) / self.scale


@dataclass(frozen=True)
class Elsewhere:
    """Weights of the encoder that lie elsewhere, not in the model's folder.

    Arguments:
        sha256: Hash of the file.
        source: Where it comes from, for the one who has to get it.
    """

    sha256: str
    source: str


@dataclass(frozen=True)
class EncodedSettings:
    """Everything that is needed to rebuild a whole-volume model."""

    preprocess: PreprocessSettings = PLAIN
    """What is done to a scan."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    """The network whose maps are read."""
    discriminator: HeadSettings = field(default_factory=HeadSettings)
    """What tells synthetic anomalies from the rest."""
    density: GaussianSettings = field(default_factory=GaussianSettings)
    """What says how rare the features are."""
    discriminator_part: Part = field(default_factory=Part)
    """How the discriminator enters the score."""
    density_part: Part = field(default_factory=lambda: Part(weight=0.0))
    """How the density enters the score."""
    elsewhere: Elsewhere | None = None
    """Where the encoder's weights are, if not in the model's folder."""
    shifts: int = 1
    """Shifts of the coarser maps that scores are averaged over, 1, 2 or 4."""

    def __post_init__(self) -> None:
        """Raise ValueError for a stage that the encoder does not have, or shifts that are none."""
        if self.shifts not in SHIFTS:
            raise ValueError(f"Expected {list(SHIFTS)} shifts, found {self.shifts}.")
        last = max(source.stage for source in self.sources)
        if last >= len(self.encoder.widths):
            raise ValueError(
                f"Expected heads that read the {len(self.encoder.widths)} stages of the encoder, "
                f"found one that reads stage {last}."
            )

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every map that is read."""
        return (*self.discriminator.sources, *self.density.sources)

    @property
    def channels(self) -> dict[Source, int]:
        """Channels of each of them."""
        return {source: self.encoder.channels[source.stage] for source in self.sources}


@final
class Encoded(WholeScorer[EncodedSettings]):
    """An encoder with a discriminator and a density.

    Arguments:
        settings: The sizes.
    """

    def __init__(self, settings: EncodedSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(settings.encoder)
        self.discriminator = Discriminator(settings.discriminator, settings.channels)
        self.density = new_density(settings.density, settings.channels)

    def whole(
        self, image: np.ndarray, body: np.ndarray, device: torch.device, step: Step
    ) -> tuple[np.ndarray, Shape]:
        """The weighted sum of both scores, `(ceil(D / 2), ceil(H / 4), ceil(W / 4))`, float32."""
        return self.scored(image, body, device, step).cpu().numpy(), STEM_STRIDE

    def scored(
        self, image: np.ndarray, body: np.ndarray, device: torch.device, step: Step
    ) -> Tensor:
        """What `whole` gives, still on the device."""
        low, high = self.settings.preprocess.window
        # As whole numbers: half of the way to a card, and scaled there.
        x = sent(torch.from_numpy(image), device).float()[None, None]
        x = x.sub_(low).div_(high - low).clamp_(0, 1)
        settings, size = self.settings, finest(image.shape)
        inside = sent(torch.from_numpy(on_finest(body).copy()), device)

        def read(maps: Maps, here: Box) -> Tensor:
            within = inside[here]
            total = torch.zeros(within.shape, device=device)
            if (part := settings.discriminator_part).weight:
                total += part.of(self.discriminator(maps, within.shape))
            if (part := settings.density_part).weight:
                total += part.of(self.density(maps, within.shape, within))
            return total

        shifts = encode_shifts(self.encoder, x, settings.sources, settings.shifts, step)
        with torch.inference_mode():
            return mean_over_shifts(shifts, size, read)
