"""Noise and sharpness of a scan, measured in the scan itself."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctscreener.scan import Scan
from training.inserted.overview import Overview, eroded

PATCH_MM = (14.0, 20.0, 20.0)
PATCHES = 40
SLICE = 0.29
"""Standard deviation of a slice's box profile, in slices: 1 / sqrt(12)."""


@dataclass(frozen=True)
class Noise:
    """Noise of a scan's soft tissue.

    Arguments:
        covariance: Covariance of two voxels in HU^2 for each offset, that of no offset in the
            middle; float64, odd sizes.
    """

    covariance: np.ndarray

    @property
    def hu(self) -> float:
        """Standard deviation in HU."""
        return float(np.sqrt(self.covariance[tuple(n // 2 for n in self.covariance.shape)]))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw noise of this covariance.

        Arguments:
            shape: Voxels wanted, `(D, H, W)`.
            rng: Draws it.

        Returns:
            HU, mean 0, float32, `(D, H, W)`.
        """
        # Twice as far as the covariance reaches: what leaves at one end comes back at the other.
        size = [n + c for n, c in zip(shape, self.covariance.shape, strict=True)]
        kernel = np.zeros(size)
        kernel[tuple(slice(0, n) for n in self.covariance.shape)] = self.covariance
        kernel = np.roll(kernel, [-(n // 2) for n in self.covariance.shape], (0, 1, 2))
        power = np.maximum(np.fft.rfftn(kernel).real, 0)
        white = np.fft.rfftn(rng.standard_normal(size))
        field = np.fft.irfftn(white * np.sqrt(power), s=size, axes=(0, 1, 2))
        return field[tuple(slice(0, n) for n in shape)].astype(np.float32)


def measure_noise(scan: Scan, view: Overview, rng: np.random.Generator) -> Noise:
    """Measure the noise of a scan where its soft tissue is most homogeneous.

    Arguments:
        scan: On canonical axes.
        view: The same scan from afar.
        rng: Chooses among equally good places.

    Returns:
        Its covariance, up to half a patch away, tapered to 0 at the end.
    """
    size = [
        min(max(round(mm / s), 3), n)
        for mm, s, n in zip(PATCH_MM, scan.spacing, scan.shape, strict=True)
    ]
    patches = [_detrended(scan.hu[box]) for box in _places(scan, view, size, rng)]
    spread = np.array([p.std() for p in patches])
    # Vessels and edges that slipped in make a patch rough; the calmer half is noise alone.
    calm = [p for p, s in zip(patches, spread, strict=True) if s <= np.median(spread)]
    padded = [2 * n for n in size]
    power = np.mean([np.abs(np.fft.fftn(p, padded, (0, 1, 2))) ** 2 for p in calm], axis=0)
    pairs = np.abs(np.fft.ifftn(np.abs(np.fft.fftn(np.ones(size), padded, (0, 1, 2))) ** 2).real)
    covariance = np.fft.fftshift(np.fft.ifftn(power).real / np.maximum(pairs, 0.5))
    reach = [n // 2 for n in size]
    kept = covariance[tuple(slice(n - r, n + r + 1) for n, r in zip(size, reach, strict=True))]
    for axis, r in enumerate(reach):
        taper = 0.5 + 0.5 * np.cos(np.pi * np.arange(-r, r + 1) / (r + 1))
        kept = kept * np.expand_dims(taper, [a for a in range(3) if a != axis])
    return Noise(kept)


def _places(
    scan: Scan, view: Overview, size: list[int], rng: np.random.Generator
) -> list[tuple[slice, ...]]:
    """Boxes of voxels in the calmest soft tissue."""
    mean = ndimage.uniform_filter(view.hu, 3, mode="nearest")
    square = ndimage.uniform_filter(view.hu**2, 3, mode="nearest")
    rough = square - mean**2
    soft = (mean > -20) & (mean < 220) & eroded(view.body, view.spacing, 8.0)
    room = [n // 2 / b for n, b in zip(size, view.block, strict=True)]
    for axis, margin in enumerate(np.ceil(room).astype(int)):
        ends = np.moveaxis(soft, axis, 0)
        if len(ends) > 2 * margin:
            ends[:margin] = ends[len(ends) - margin :] = False
    found = np.flatnonzero(soft)
    calm = found[np.argsort(rough.ravel()[found])[: max(len(found) // 12, PATCHES)]]
    boxes = []
    for flat in rng.choice(calm, min(PATCHES, len(calm)), replace=False):
        block = np.unravel_index(int(flat), soft.shape)
        starts = [
            int(np.clip((i + 0.5) * b - n // 2, 0, total - n))
            for i, b, n, total in zip(block, view.block, size, scan.shape, strict=True)
        ]
        boxes.append(tuple(slice(a, a + n) for a, n in zip(starts, size, strict=True)))
    return boxes


def _detrended(patch: np.ndarray) -> np.ndarray:
    """Take a parabola along each axis out of a patch: anatomy is smooth there, noise is not."""
    axes = [np.linspace(-1, 1, n) for n in patch.shape]
    grids = np.meshgrid(*axes, indexing="ij")
    terms = [np.ones(patch.size)] + [(g**p).ravel() for g in grids for p in (1, 2)]
    matrix = np.stack(terms, 1)
    values = patch.ravel().astype(float)
    fit, *_ = np.linalg.lstsq(matrix, values, rcond=None)
    return (values - matrix @ fit).reshape(patch.shape)


def measure_blur(scan: Scan, view: Overview) -> np.ndarray:
    """Measure how sharply a scan shows the skin, and take the slices' thickness as their blur.

    An edge of height h that a Gaussian of deviation s has blurred is at most as steep as
    h / (s sqrt(2 pi)).

    Arguments:
        scan: On canonical axes.
        view: The same scan from afar.

    Returns:
        Standard deviation of the point spread along `(D, H, W)`, in voxels, `(3,)`.
    """
    ratios = []
    planes = np.linspace(0.25, 0.75, 7) * (scan.shape[0] - 1)
    for number in planes.astype(int):
        plane = np.clip(scan.hu[number], -1000, 100)
        down, across = np.gradient(ndimage.gaussian_filter(plane, 0.5))
        slope = np.hypot(down, across)
        high = ndimage.maximum_filter(plane, 7) - ndimage.minimum_filter(plane, 7)
        strong = (high > 800) & (slope > 100)
        block = min(int(number) // view.block[0], len(view.body) - 1)
        rim = ndimage.binary_dilation(view.body[block], iterations=2)
        rim = np.kron(rim, np.ones(view.block[1:], bool))
        inside = strong[: rim.shape[0], : rim.shape[1]] & rim[: strong.shape[0], : strong.shape[1]]
        where = np.nonzero(inside)
        if len(where[0]) > 50:
            ratios.append(np.percentile(slope[where] / high[where], 90))
    steep = float(np.median(ratios)) if ratios else 0.4
    total = 1 / (steep * np.sqrt(2 * np.pi))
    # The smoothing above and the gradient's own width (about 0.5 and 0.7 voxels) are not the scan's.
    pixel = float(np.sqrt(np.clip(total**2 - 0.5**2 - 0.5, 0.3**2, 1.6**2)))
    return np.array([SLICE, pixel, pixel])
