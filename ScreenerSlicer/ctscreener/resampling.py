"""Values from one grid to another: the lattice that networks see, and any other by its affine."""

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.scan import Scan, Shape

if TYPE_CHECKING:
    import SimpleITK as sitk

PADDING_HU = -1024.0
"""Values below mark voxels outside of the scanner's field of view (-2000, -3024): read as air."""
FWHM = 2.355
"""Full width at half maximum of a Gaussian, in standard deviations."""
TRUNCATE = 3.0
"""Standard deviations from which a Gaussian counts as nothing."""
SLAB = 32
"""Slices made at a time on the way there and back: bounds the memory."""
ASIDE = 1e-3
"""Voxels by which the nearest one is looked for aside. Halfway between two, the last digits of an
affine would decide, and they differ between a file and the same scan in 3D Slicer."""


def to_lattice(scan: Scan, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Resample to the canonical axes, at multiples of `spacing` in the patient's coordinates.

    Arguments:
        scan: The scan, its axes in canonical order.
        spacing: mm along `(D, H, W)`.

    Returns:
        HU, float32, `(D, H, W)`, NaN outside of the scan; and its affine.
    """
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in scan.shape])).reshape(3, -1)
    axes = np.array([[0, 0, -1.0], [0, -1.0, 0], [1.0, 0, 0]])  # (d, h, w) -> RAS
    world = axes.T @ (scan.affine[:3, :3] @ corners + scan.affine[:3, 3:])
    # Points on the very border are left out: rounding would decide about them.
    first = np.ceil(world.min(axis=1) / spacing + 1e-4)
    last = np.floor(world.max(axis=1) / spacing - 1e-4)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = axes @ (first * spacing)
    d, h, w = (last - first + 1).astype(int)
    if min(d, h, w) < 1:
        raise InputError(
            "scan.too_small",
            f"Expected a scan of several cm, found {scan.shape} voxels of {scan.spacing} mm.",
            "Choose a scan that covers more of the body.",
        )
    hu = np.empty((d, h, w), np.float32)
    # A slab at a time: a whole scan blurred along each axis would take most of the memory.
    for start in range(0, d, SLAB):
        target = affine.copy()
        target[:3, 3] += affine[:3, 0] * start
        shape = (min(SLAB, d - start), h, w)
        part, place = anti_aliased(scan, target, shape, spacing)
        hu[start : start + SLAB] = resample(part, place, target, shape)
    return hu, affine


def anti_aliased(
    scan: Scan, target: np.ndarray, shape: Shape, spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Blur the slices that a part of a lattice lies in, along the axes that get coarser.

    Arguments:
        scan: The scan, its axes in canonical order.
        target: The part of the lattice: index to RAS mm.
        shape: Its voxels along (D, H, W).
        spacing: Its spacing in mm along (D, H, W): the width to blur to.

    Returns:
        HU, float32, the same as if the whole scan were blurred; and their affine.
    """
    row = (np.linalg.inv(scan.affine) @ target)[0]
    spans, count = row[:3] * (np.array(shape) - 1), scan.shape[0]
    first = int(np.clip(row[3] + np.minimum(spans, 0).sum() - 1, 0, count - 1))
    last = int(np.clip(row[3] + np.maximum(spans, 0).sum() + 3, first + 1, count))
    deviations = widths(scan.spacing, spacing)
    reach = math.ceil(TRUNCATE * deviations[0])
    read = max(0, first - reach)
    hu = np.array(scan.hu[read : last + reach], np.float32, order="C")
    np.maximum(hu, np.float32(PADDING_HU), out=hu)
    for axis, sigma in enumerate(deviations):
        if sigma:
            hu = ndimage.gaussian_filter1d(hu, sigma, axis, mode="nearest", truncate=TRUNCATE)
        if axis == 0:
            hu = hu[first - read : last - read]
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, 0] * first
    return hu, affine


def widths(spacing: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Standard deviations, in voxels, that widen voxels to those of a coarser grid; else 0."""
    coarser = target > 1.01 * spacing
    return np.where(coarser, np.sqrt(np.maximum(target**2 - spacing**2, 0)) / FWHM / spacing, 0)


def resample(
    values: np.ndarray,
    affine: np.ndarray,
    target: np.ndarray,
    shape: Shape,
    outside: float = np.nan,
    nearest: bool = False,
) -> np.ndarray:
    """Values on another grid, by linear interpolation; its inverse swaps the two grids.

    Arguments:
        values: `(D, H, W)`.
        affine: Where `values` lie: index to RAS mm.
        target: Where the result lies: index to RAS mm.
        shape: The result's voxels along (D, H, W).
        outside: The result's value outside of `values`.
        nearest: Take the nearest voxel instead, for masks; of two equally near the later one.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    return resample_image(image, affine, target, shape, outside, nearest)


def resample_image(
    image: "sitk.Image",
    affine: np.ndarray,
    target: np.ndarray,
    shape: Shape,
    outside: float,
    nearest: bool = False,
) -> np.ndarray:
    """Values of an image on another grid; see `resample`. It is copied once for several grids."""
    import SimpleITK as sitk

    matrix = np.linalg.inv(affine) @ target
    flip = np.eye(3)[::-1]  # ITK counts indices as (w, h, d)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix((flip @ matrix[:3, :3] @ flip).ravel().tolist())
    aside = ASIDE if nearest else 0.0
    transform.SetTranslation((flip @ matrix[:3, 3] + aside).tolist())
    method = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    size = [int(n) for n in shape[::-1]]
    grid = ((0.0,) * 3, (1.0,) * 3, np.eye(3).ravel().tolist())
    result = sitk.Resample(image, size, transform, method, *grid, outside)
    return sitk.GetArrayFromImage(result)


def pooled_affine(affine: np.ndarray, stride: Shape) -> np.ndarray:
    """The affine of a grid whose voxels are blocks of `stride` voxels."""
    pooled = affine.copy()
    pooled[:3, :3] = affine[:3, :3] * np.array(stride)
    pooled[:3, 3] += affine[:3, :3] @ ((np.array(stride) - 1) / 2)
    return pooled
