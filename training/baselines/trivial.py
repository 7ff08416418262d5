"""Trivial anomaly scores, that a trained model has to beat on the same voxels.

Each takes a scan and the mask of the voxels to score, both on the scan's own grid, and returns
float32 on that grid, NaN outside of the mask.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctscreener.preprocess import PreprocessSettings, prepare
from ctscreener.resampling import resample
from ctscreener.scan import Scan

HU_RANGE = (-1000.0, 1000.0)
"""Metal and padding beyond would outweigh everything else."""
GRADIENT_MM = 2.0
"""Standard deviation of the smoothing before the gradient is taken."""


def body_of(scan: Scan, settings: PreprocessSettings) -> np.ndarray:
    """The voxels of a scan that a model scores, bool, in the scan's shape.

    Arguments:
        scan: The scan.
        settings: How the model prepares it.

    Raises:
        InputError: Those of `prepare`.
    """
    prepared = prepare(scan, settings)
    mask = prepared.body.astype(np.uint8)
    return resample(mask, prepared.affine, scan.affine, scan.shape, 0, nearest=True) > 0


def random_scores(body: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Score by chance: what a metric gives for knowing nothing.

    Arguments:
        body: Which voxels to score, bool, `(D, H, W)`.
        rng: Draws the scores.
    """
    return masked(rng.random(body.shape, np.float32), body)


def gradient_scores(scan: Scan, body: np.ndarray) -> np.ndarray:
    """Score by how fast HU change: the length of their smoothed gradient, in HU a mm.

    Arguments:
        scan: The scan.
        body: Which voxels to score, bool, in the scan's shape.
    """
    hu, sigma = clipped(scan), GRADIENT_MM / scan.spacing
    squares = np.zeros_like(hu)
    for axis in range(3):
        order = [int(axis == other) for other in range(3)]
        slope = ndimage.gaussian_filter(hu, sigma, order, mode="nearest", truncate=3.0)  # pyright: ignore[reportArgumentType]
        squares += np.square(slope / np.float32(scan.spacing[axis]))
    return masked(np.sqrt(squares), body)


@dataclass(frozen=True)
class Gradient:
    """The score that is high at every edge; see `training.baselines.folder.Rated`."""

    name: str = "gradient"
    sha256: str = ""
    seen: frozenset[str] = frozenset()

    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score by how fast HU change."""
        return gradient_scores(scan, body)


@dataclass(frozen=True)
class Chance:
    """The score that knows nothing; see `training.baselines.folder.Rated`.

    Arguments:
        seed: Decides the scores, together with the scan.
    """

    seed: int = 0
    name: str = "random"
    sha256: str = ""
    seen: frozenset[str] = frozenset()

    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score by chance, the same at every call."""
        rng = np.random.default_rng([self.seed, zlib.crc32(scan.hu.tobytes())])
        return random_scores(body, rng)


def clipped(scan: Scan) -> np.ndarray:
    """HU within `HU_RANGE`, float32."""
    return np.clip(scan.hu, *HU_RANGE).astype(np.float32, copy=False)


def masked(scores: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Scores in the body, float32, NaN elsewhere."""
    return np.where(body, scores, np.float32("nan")).astype(np.float32, copy=False)
