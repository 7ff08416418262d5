"""Trivial anomaly scores, that a trained model has to beat on the same voxels.

Each takes a scan and the mask of the voxels to score, both on the scan's own grid, and returns
float32 on that grid, NaN outside of the mask.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings, prepare, resample
from ctscreener.scan import Scan, reoriented_to_canonical

CELLS = 48
"""Places along each side of the body's box."""
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
class MeanAtPlace:
    """The mean HU of other scans at each place: scores are the distances from it.

    A place is a share of the body's box along each canonical axis, in `CELLS` steps.

    Arguments:
        hu: Mean HU of body voxels, float32, `(CELLS, CELLS, CELLS)`.
        scans: How many scans it is the mean of.
    """

    hu: np.ndarray
    scans: int

    @classmethod
    def fit(cls, scans: Iterable[tuple[Scan, np.ndarray]]) -> Self:
        """Average scans, each of which counts at a place as far as its body fills it.

        Arguments:
            scans: Scans with their body masks, one at a time.

        Raises:
            InputError: `trivial.no_scans`.
        """
        total, weight, count = 0.0, np.zeros((CELLS,) * 3), 0
        for scan, body in scans:
            box = boxed(scan, body)
            total = total + cell_means(np.where(box.body, box.hu, 0))
            weight += cell_means(box.body.astype(np.float32))
            count += 1
        if not count:
            raise InputError(
                "trivial.no_scans",
                "Expected scans to average, found none.",
                "Name a folder of scans without lesions.",
            )
        # A place that no body reached is taken for average tissue.
        overall = np.sum(total) / weight.sum()
        mean = np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), overall)
        return cls(mean.astype(np.float32), count)

    def scores(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score by |HU - mean HU at that place|.

        Arguments:
            scan: The scan.
            body: Which voxels to score, bool, in the scan's shape.
        """
        box = boxed(scan, body)
        # Edges repeated, since half a cell lies beyond the outermost centres.
        affine = box.affine @ cell_affine(box.hu.shape)
        affine[:3, 3] -= affine[:3, :3].sum(axis=1)
        mean = resample(np.pad(self.hu, 1, mode="edge"), affine, scan.affine, scan.shape)
        return masked(np.abs(clipped(scan) - mean), body)


@dataclass(frozen=True)
class Boxed:
    """A scan cut to the box around its body, on canonical axes.

    Arguments:
        hu: Clipped HU, float32, `(D, H, W)`.
        body: Body mask, bool, `(D, H, W)`.
        affine: Voxel index to RAS mm, `(4, 4)`.
    """

    hu: np.ndarray
    body: np.ndarray
    affine: np.ndarray


def boxed(scan: Scan, body: np.ndarray) -> Boxed:
    """Turn a scan to the canonical axes and cut it to the box around its body."""
    mask = reoriented_to_canonical(Scan(body, scan.affine)).hu
    turned = reoriented_to_canonical(scan)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    affine = turned.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return Boxed(clipped(turned)[box], mask[box], affine)


def cell_means(values: np.ndarray) -> np.ndarray:
    """Average a volume over `CELLS` equal parts of each side, `(CELLS, CELLS, CELLS)`.

    A voxel that lies in two cells counts in both, as far as it lies in them.

    Example:
        >>> round(float(cell_means(np.ones((5, 96, 50))).min()), 6)
        1.0
    """
    for axis in range(3):
        matrix = cell_matrix(values.shape[axis]).astype(values.dtype)
        values = np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)
    return values


def cell_matrix(extent: int) -> np.ndarray:
    """Share of each cell that each voxel of a side fills, `(CELLS, extent)`; rows sum to 1."""
    edges = np.arange(CELLS + 1)[:, None] * extent / CELLS
    voxels = np.arange(extent)
    overlap = np.minimum(edges[1:], voxels + 1) - np.maximum(edges[:-1], voxels)
    return np.clip(overlap, 0, None) * CELLS / extent


def cell_affine(shape: tuple[int, ...]) -> np.ndarray:
    """From the index of a cell to the index of a voxel in a box of this shape, `(4, 4)`."""
    size = np.array(shape) / CELLS
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = (size - 1) / 2
    return affine


def clipped(scan: Scan) -> np.ndarray:
    """HU within `HU_RANGE`, float32."""
    return np.clip(scan.hu, *HU_RANGE).astype(np.float32, copy=False)


def masked(scores: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Scores in the body, float32, NaN elsewhere."""
    return np.where(body, scores, np.float32("nan")).astype(np.float32, copy=False)
