"""A whole-volume model of few weights, all of them random."""

from dataclasses import replace

import torch

from ctscreener.encoded import PLAIN, Encoded, EncodedSettings, Part
from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.heads import GaussianSettings, HeadSettings, Source
from Testing.engine.small_model import perturb

SIZES = EncoderSettings(widths=(2, 4), bottlenecks=(3, 1))
SETTINGS = EncodedSettings(
    preprocess=replace(PLAIN, spacing=(4.5, 3.0, 3.0)),
    encoder=SIZES,
    discriminator=HeadSettings(
        (Source(0), Source(1), Source(1, cube=3), Source(0, half=True), Source(1, half=True)), 6
    ),
    density=GaussianSettings((Source(1),), 4),
    discriminator_part=Part(1.0, 0.5, 2.0),
    density_part=Part(0.3, 2.0, 3.0),
    shifts=2,
)


def small_encoder(sizes: EncoderSettings = SIZES, seed: int = 0) -> Encoder:
    """An encoder with random weights, the same at every call, that lets much of its input pass."""
    made = Encoder(sizes)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            spread = 0.1 if name.endswith("bias") else parameter[0].numel() ** -0.5
            parameter.copy_(spread * torch.randn(parameter.shape, generator=_numbers(seed, name)))
    return made.eval().requires_grad_(False)


def _numbers(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * seed + sum(name.encode()))


def small_encoded(settings: EncodedSettings = SETTINGS) -> Encoded:
    """A whole-volume model with random weights, the same at every call."""
    made = Encoded(settings)
    with torch.no_grad():
        for parameter in made.discriminator.parameters():
            parameter.zero_()
    perturb(made.discriminator, 1.0, 1)
    made.encoder.load_state_dict(small_encoder(settings.encoder).state_dict())
    made.density.whiten.copy_(torch.randn(made.density.whiten.shape, generator=_numbers(2, "w")))
    made.density.log_det.fill_(1.5)
    return made.eval().requires_grad_(False)
