"""Changes of grey values that a descriptor must not notice: drawn first, then applied."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from training.data.chance import normal

RADIUS = 4
"""Voxels on each side that the blur reaches: 3 sigma of the widest blur and the finest crop."""


@dataclass(frozen=True)
class JitterSettings:
    """How grey values are changed (Goncharov et al. 2025, their code of 2024)."""

    chance: float = 0.8
    """Chance of each of the changes."""
    blur_mm: float = 1.5
    """Largest standard deviation of the blur within the slice, mm."""
    sharpen: float = 2.0
    """Largest strength of the sharpening that takes the blur's place in half of the draws."""
    noise: float = 0.1
    """Largest standard deviation of the Gaussian noise; the image runs from 0 to 1."""
    brightness: tuple[float, float] = (0.8, 1.2)
    """Least and largest factor of the brightness."""
    contrast: tuple[float, float] = (0.8, 1.2)
    """Least and largest factor of the contrast, around the crop's mean."""
    gamma: tuple[float, float] = (0.8, 1.25)
    """Least and largest exponent."""


@dataclass(frozen=True)
class Jitter:
    """The changes of a batch of `B` crops; every array is float32, `(B,)`.

    Arguments:
        sigma: Standard deviation of the blur in voxels.
        detail: What is added of image minus blurred image: -1 blurs, 0 leaves, above 0 sharpens.
        noise: Standard deviation of the noise.
        brightness: Factor.
        contrast: Factor around the mean.
        gamma: Exponent.
        seed: Seed of the noise.
    """

    sigma: np.ndarray
    detail: np.ndarray
    noise: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    gamma: np.ndarray
    seed: int

    def factors(self) -> np.ndarray:
        """All but the seed, in the order of `FACTORS`, float32, `(6, B)`."""
        return np.stack([getattr(self, name) for name in FACTORS])


def draw_jitter(
    rng: np.random.Generator, pixel_mm: np.ndarray, settings: JitterSettings
) -> Jitter:
    """Draw the changes of a batch.

    Arguments:
        rng: The source of chance.
        pixel_mm: Spacing of each crop within the slice, mm, `(B,)`.
        settings: How grey values are changed.

    Returns:
        The changes.
    """
    count = len(pixel_mm)

    def sometimes(value: np.ndarray, otherwise: float) -> np.ndarray:
        return np.where(rng.random(count) < settings.chance, value, otherwise).astype(np.float32)

    sharpens = rng.random(count) < 0.5
    detail = np.where(sharpens, rng.uniform(0, settings.sharpen, count), -1.0)
    return Jitter(
        sigma=(rng.uniform(0, settings.blur_mm, count) / pixel_mm).astype(np.float32),
        detail=sometimes(detail, 0.0),
        noise=sometimes(rng.uniform(0, settings.noise, count), 0.0),
        brightness=sometimes(rng.uniform(*settings.brightness, count), 1.0),
        contrast=sometimes(rng.uniform(*settings.contrast, count), 1.0),
        gamma=sometimes(rng.uniform(*settings.gamma, count), 1.0),
        seed=int(rng.integers(2**62)),
    )


FACTORS = ("sigma", "detail", "noise", "brightness", "contrast", "gamma")


def apply_jitter(images: torch.Tensor, jitter: Jitter) -> torch.Tensor:
    """Change the grey values of a batch; see `apply_factors`."""
    factors = torch.from_numpy(jitter.factors()).to(images.device)
    return apply_factors(images, factors, jitter.seed)


def apply_factors(images: torch.Tensor, factors: torch.Tensor, seed: int) -> torch.Tensor:
    """Change the grey values of a batch.

    Arguments:
        images: Values 0 to 1, float32, `(B, 1, D, H, W)`.
        factors: From `Jitter.factors`, on the images' device, `(6, B)`.
        seed: Seed of the noise.

    Returns:
        The same shape, values 0 to 1.
    """
    sigma, sharper, noise, brightness, contrast, gamma = factors.reshape(6, -1, 1, 1, 1, 1)
    detail = images - blur(images, sigma)
    out = images + sharper * detail
    out = out + noise * normal(images.shape, seed, images.device)
    out = out * brightness
    mean = out.mean(dim=(1, 2, 3, 4), keepdim=True)
    out = (out - mean) * contrast + mean
    return out.clamp(0, 1) ** gamma


def blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur every crop within its slices by its own Gaussian; edges are repeated.

    Arguments:
        images: `(B, 1, D, H, W)`.
        sigma: Standard deviation in voxels, `(B, 1, 1, 1, 1)`.

    Returns:
        The same shape.
    """
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)) ** 2)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    count, depth, height, width = images.shape[0], *images.shape[2:]
    padded = functional.pad(images[:, 0], (RADIUS, RADIUS, RADIUS, RADIUS), mode="replicate")
    rows = torch.zeros_like(padded[:, :, :, :width])
    for k in range(2 * RADIUS + 1):
        rows.addcmul_(padded[:, :, :, k : k + width], weights[:, 0, ..., k : k + 1])
    out = torch.zeros_like(rows[:, :, :height])
    for k in range(2 * RADIUS + 1):
        out.addcmul_(rows[:, :, k : k + height], weights[:, 0, ..., k : k + 1])
    return out.reshape(count, 1, depth, height, width)
