"""A real scan to paint on with the tools of the phantoms."""

import numpy as np
from scipy import ndimage

from ctscreener.scan import Box
from training.phantoms.canvas import Canvas

FAINT = 0.02
"""Shares of a voxel below this are left out: what they change no one could see."""


class ScanCanvas(Canvas):
    """A part of a real scan; what is painted is as blurred as the scan, and is remembered.

    Arguments:
        hu: Hounsfield units on canonical axes, float32, `(D, H, W)`; copied.
        organ: Tissue of each voxel, as `training.phantoms.organs` numbers it, `(D, H, W)`.
        spacing: Voxel size in mm, `(3,)`.
        origin: The voxel `(d, h, w)` at the origin of the body's frame.
        blur: Standard deviation of the scan's point spread, in voxels, `(3,)`.
    """

    def __init__(
        self,
        hu: np.ndarray,
        organ: np.ndarray,
        spacing: np.ndarray,
        origin: np.ndarray,
        blur: np.ndarray,
    ) -> None:
        to_body = np.column_stack([np.diag(spacing), -np.asarray(origin) * spacing])
        depth, height, width = hu.shape
        # A patient has a shape already: nothing is warped, whatever is drawn.
        calm = np.random.default_rng(0)
        super().__init__((depth, height, width), spacing, to_body, calm, warp=0.0)
        self.hu = hu.astype(np.float32, copy=True)
        self.organ = organ
        self.blur = blur
        self.replaced = np.zeros(hu.shape, np.float32)
        """Share of each voxel that is no longer the scan's own."""

    def blend(
        self, box: Box, weight: np.ndarray, value: np.ndarray | float, organ: int = -1
    ) -> None:
        """Mix a tissue into a box, with the scan's blur; see `Canvas.blend`."""
        weight = ndimage.gaussian_filter(
            weight.astype(np.float32), self.blur, mode="nearest", truncate=3.0
        )
        weight[weight < FAINT] = 0
        changed = weight * (value != self.hu[box])
        self.replaced[box] = 1 - (1 - self.replaced[box]) * (1 - changed)
        super().blend(box, weight, value, organ)
