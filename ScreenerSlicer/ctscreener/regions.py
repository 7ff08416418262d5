"""Connected regions of masks, and sizes in voxels."""

from typing import cast

import numpy as np
from scipy import ndimage

CROSS = np.asarray(ndimage.generate_binary_structure(2, 1))
"""A pixel and its four neighbours."""
IN_PLANE = np.zeros((3, 3, 3), bool)
"""A voxel and its four neighbours in its slice."""
IN_PLANE[1] = CROSS


def label(mask: np.ndarray, structure: np.ndarray | None = None) -> tuple[np.ndarray, int]:
    """Number the connected regions of a mask from 1 on, 0 outside, and count them.

    Arguments:
        mask: Of two or three dimensions.
        structure: Which neighbours connect; those that share a face by default.
    """
    return cast(tuple[np.ndarray, int], ndimage.label(mask, structure))


def next_to(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask and those that have a neighbour in it within their slice."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.binary_dilation(mask, IN_PLANE))


def odd(size_mm: float, spacing: np.ndarray) -> list[int]:
    """A size in voxels along each axis, odd so that it has a centre."""
    return [max(1, round(size_mm / step) // 2 * 2 + 1) for step in spacing]
