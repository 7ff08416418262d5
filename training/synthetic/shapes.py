"""Random shapes of anomalies: how much of each voxel of a box they fill."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.phantoms.fields import texture

ROUGH = 0.35
"""Largest deviation of a blob's border from its ellipsoid, as a share of its radius."""
STRETCH = 2.5
"""Largest ratio of two axes of a shape."""


@dataclass(frozen=True)
class Shape3d:
    """A shape in a box of voxels.

    Arguments:
        share: How much of each voxel it fills, 0..1, float32, `(D, H, W)`.
        depth: Distance in mm to its border, positive inside, float32, `(D, H, W)`.
    """

    share: np.ndarray
    depth: np.ndarray


def box_shape(radius: float, spacing: np.ndarray) -> tuple[int, ...]:
    """Voxels along each axis of a box that holds every shape of a radius in mm."""
    reach = radius * np.sqrt(STRETCH) * (1 + ROUGH) + 6.0
    return tuple(2 * int(np.ceil(reach / step)) + 1 for step in spacing)


def draw_shape(radius: float, spacing: np.ndarray, rng: np.random.Generator) -> Shape3d:
    """Draw a shape in the middle of a box: a smooth blob, or a thresholded random field.

    The second is the pseudo-anomaly of the two-phase paper (stretched Gaussian noise, closing
    and opening), in 3D.

    Arguments:
        radius: Radius in mm of a ball of about the same volume.
        spacing: Voxel size along `(D, H, W)` in mm, `(3,)`.
        rng: Draws it.

    Returns:
        The shape in a box of `box_shape(radius, spacing)` voxels; it may be empty.
    """
    shape = box_shape(radius, spacing)
    r = _radii(shape, spacing, rng)
    if rng.random() < 0.6 or radius < 5:
        rough = rng.uniform(0.05, ROUGH) * texture(rng, shape, spacing, max(0.8 * radius, 3.0))
        depth = radius * (1 + np.clip(rough, -ROUGH, ROUGH)) - r
    else:
        depth = _field_depth(radius, r, spacing, rng)
    edge = rng.uniform(0.6, 1.2) if rng.random() < 0.7 else rng.uniform(1.2, max(1.5, radius / 3))
    share = 1 / (1 + np.exp(-np.clip(depth / edge * 2, -20, 20)))
    share[share < 0.02] = 0
    return Shape3d(share.astype(np.float32), depth.astype(np.float32))


def _radii(shape: tuple[int, ...], spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance from the middle in mm, in a frame that is turned and stretched at random."""
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    longest = rng.uniform(1.0, STRETCH)
    axes = np.array([longest, rng.uniform(1.0, longest), 1.0])
    axes /= np.prod(axes) ** (1 / 3)
    grids = np.meshgrid(
        *[(np.arange(n) - n // 2) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"
    )
    turned = np.tensordot(turn / axes[:, None], np.stack(grids), axes=1)
    return np.sqrt((turned**2).sum(0)).astype(np.float32)


def _field_depth(
    radius: float, r: np.ndarray, spacing: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Depth in the thresholded sum of a random field and a ball that holds it together."""
    field = texture(rng, r.shape, spacing, max(0.7 * radius, 4.0)) - 1.2 * (r / radius) ** 2
    # As many voxels as a ball of this radius has.
    wanted = 4 / 3 * np.pi * radius**3 / np.prod(spacing)
    level = np.quantile(field, max(1 - wanted / field.size, 0.5))
    inside = field > level
    ball = ndimage.generate_binary_structure(3, 1)
    inside = np.asarray(ndimage.binary_opening(ndimage.binary_closing(inside, ball), ball), bool)
    if not inside.any():
        return radius - r
    out, within = (ndimage.distance_transform_edt(m, spacing) for m in (~inside, inside))
    return np.asarray(within) - np.asarray(out)
