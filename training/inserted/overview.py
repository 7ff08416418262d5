"""A scan seen from afar: means of blocks of about 3 mm, on which organs are looked for."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctscreener.body import body_mask
from ctscreener.regions import label
from ctscreener.scan import Scan

BLOCK_MM = 3.0


@dataclass(frozen=True)
class Overview:
    """Block means of a scan on canonical axes: D to superior, H to posterior, W to left.

    Arguments:
        hu: Mean HU of each block, float32, `(d, h, w)`.
        body: Blocks of the body, lungs and bowel gas included, bool, `(d, h, w)`.
        spacing: Size of a block in mm, `(3,)`.
        block: Voxels that make a block along each axis.
    """

    hu: np.ndarray
    body: np.ndarray
    spacing: np.ndarray
    block: tuple[int, int, int]

    @property
    def voxel_ml(self) -> float:
        """Volume of a block in ml."""
        return float(np.prod(self.spacing)) / 1000

    @property
    def midline(self) -> float:
        """Where the body's middle lies along W, in blocks: half of the body on either side."""
        return float(np.median(np.flatnonzero(self.body) % self.body.shape[2]))

    def smooth(self, mm: float = 3.0) -> np.ndarray:
        """HU after a Gaussian of this standard deviation in mm, float32, `(d, h, w)`."""
        return ndimage.gaussian_filter(self.hu, mm / self.spacing, mode="nearest", truncate=3.0)


def overview(scan: Scan) -> Overview:
    """Look at a scan from afar.

    Arguments:
        scan: On canonical axes.

    Returns:
        Its block means and its body. Voxels that fill no block at the far ends are left out.

    Raises:
        InputError: `scan.no_body`.
    """
    d, h, w = (max(1, round(BLOCK_MM / float(step))) for step in scan.spacing)
    shape = [size // step for size, step in zip(scan.shape, (d, h, w), strict=True)]
    whole = scan.hu[: shape[0] * d, : shape[1] * h, : shape[2] * w]
    split = (shape[0], d, shape[1], h, shape[2], w)
    # Padding lies far below air, and metal far above bone: neither may weigh more than they.
    hu = np.clip(whole, -1024, 1500).reshape(split).mean((1, 3, 5), dtype=np.float32)
    spacing = scan.spacing * (d, h, w)
    body = body_mask(hu, spacing, np.zeros(hu.shape, bool))
    return Overview(hu, body, spacing, (d, h, w))


def eroded(mask: np.ndarray, spacing: np.ndarray, mm: float) -> np.ndarray:
    """What of a mask lies further than `mm` from its surface; the volume's ends are no surface."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing)) > mm


def dilated(mask: np.ndarray, spacing: np.ndarray, mm: float) -> np.ndarray:
    """All that lies within `mm` of a mask."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing)) <= mm


def largest(mask: np.ndarray) -> np.ndarray:
    """Keep the largest connected part of a mask."""
    parts, _ = label(mask)
    if parts.max() < 2:
        return mask
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def ellipsoid_mean(values: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Mean of a volume over an ellipsoid around each voxel.

    Arguments:
        values: Float32, `(d, h, w)`; beyond the ends it counts as 0.
        radii: Half axes in voxels, `(3,)`.
    """
    from scipy.signal import fftconvolve

    reach = np.floor(radii).astype(int)
    grids = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
    kernel = np.asarray(sum((g / r) ** 2 for g, r in zip(grids, radii, strict=True)) <= 1)
    weights = kernel.astype(np.float32) / kernel.sum()
    return np.asarray(fftconvolve(values, weights, mode="same"), np.float32)
