"""Where a lesion goes: a ball of voxels, its distances, and the marking of masks."""

import numpy as np
from scipy import ndimage

from ctscreener.scan import Box
from training.phantoms.canvas import Canvas
from training.phantoms.fields import texture

LABELS = {
    "lung_nodule": 1,
    "lung_opacity": 2,
    "kidney_tumour": 3,
    "liver_tumour": 4,
    "other": 5,
    "lung_mass": 6,
    "pleural_effusion": 7,
}
"""Value of each family in a mask."""


class Site:
    """A ball of voxels around a lesion, with distances in mm.

    Arguments:
        canvas: What is painted on.
        voxel: Middle of the lesion, `(3,)`.
        reach: Radius of the ball in mm.
    """

    def __init__(self, canvas: Canvas, voxel: np.ndarray, reach: float) -> None:
        room = reach / canvas.spacing + 1
        box = canvas.clip(voxel - room, voxel + room)
        assert box is not None, "lesions lie inside the volume"
        self.canvas = canvas
        self.box: Box = box
        grids = np.ogrid[box]
        d = [(g - v) * s for g, v, s in zip(grids, voxel, canvas.spacing, strict=True)]
        self.offset = [np.asarray(a, np.float32) for a in d]
        self.r = np.sqrt(sum(a * a for a in self.offset)).astype(np.float32)

    def noise(self, rng: np.random.Generator, wavelength: float) -> np.ndarray:
        """Draw a smooth field on the ball's box."""
        return texture(rng, self.r.shape, self.canvas.spacing, wavelength)

    def is_organ(self, *organs: int) -> np.ndarray:
        """Tell where the box shows one of some organs."""
        return np.isin(self.canvas.organ[self.box], organs)

    def mark(self, mask: np.ndarray, weight: np.ndarray, label: int) -> int:
        """Write the label where the share exceeds a half; return the voxels marked."""
        inside = weight > 0.5
        mask[self.box][inside] = label
        return int(inside.sum())


def pick(canvas: Canvas, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Draw one voxel of a mask; None where it is empty."""
    found = np.flatnonzero(inside)
    if len(found) == 0:
        return None
    return np.array(np.unravel_index(int(rng.choice(found)), canvas.shape), float)


def deep_inside(canvas: Canvas, organ: int, margin: float) -> np.ndarray:
    """Voxels of an organ at least `margin` mm from its surface and from the volume's edge."""
    inside = canvas.organ == organ
    away = inside.astype(np.float32)
    for axis, size in enumerate(2 * np.ceil(margin / canvas.spacing).astype(int) + 1):
        away = ndimage.uniform_filter1d(away, int(size), axis, mode="constant")
    return inside & (away > 0.97)
