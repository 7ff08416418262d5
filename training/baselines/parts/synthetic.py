"""Made-up anomalies: where they lie, what they show, and how they are put into an image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ctscreener.scan import Shape
from training.baselines.parts.perlin import perlin
from training.data.chance import Chances

OCTAVES = 6
"""Lattices of 1, 2, 4 ... cells along an axis."""


def perlin_mask(shape: Shape, threshold: float, chances: Chances) -> Tensor:
    """Draw odd shapes: where Perlin noise of a random lattice exceeds a threshold.

    Arguments:
        shape: Voxels along (D, H, W).
        threshold: Of the noise, -1 to 1.
        chances: The sources of chance.

    Returns:
        bool, `shape`; empty at times.
    """
    d, h, w = (2 ** chances.whole(OCTAVES) for _ in range(3))
    return perlin(shape, (d, h, w), chances) > threshold


def recoloured(image: Tensor, chances: Chances) -> Tensor:
    """Change the grey values of a crop, and turn it over along some axes.

    Arguments:
        image: Values 0 to 1, `(1, D, H, W)`.
        chances: The sources of chance.
    """
    image = image.flip(chances.axes())
    if chances.number() < 0.5:
        image = 1 - image
    image = image.clamp(0, 1) ** chances.number(0.5, 2.0)
    image = (image - 0.5) * chances.number(0.5, 1.5) + 0.5 + chances.number(-0.3, 0.3)
    return image.clamp(0, 1)


def others(count: int, chances: Chances) -> list[int]:
    """For each crop of a batch another one, by chance; itself where there is no other."""
    return [(n + 1 + chances.whole(max(1, count - 1))) % count for n in range(count)]


def blended(image: Tensor, foreign: Tensor, weight: Tensor | float, mask: Tensor) -> Tensor:
    """Mix a foreign image into another within a mask.

    Arguments:
        image: `(1, D, H, W)`.
        foreign: The same shape.
        weight: Share of the foreign image there, 0 to 1, a number or of the same shape.
        mask: Where, bool, the same shape.
    """
    return torch.where(mask, (1 - weight) * image + weight * foreign, image)


def box_mask(
    shape: Shape, sides: Sequence[int], first: Sequence[int], device: torch.device
) -> Tensor:
    """A box of `sides` voxels from the voxel `first` on, bool, `shape`; cut off at the border."""
    mask = torch.zeros(shape, dtype=torch.bool, device=device)
    d, h, w = (slice(max(0, a), max(0, a + n)) for a, n in zip(first, sides, strict=True))
    mask[d, h, w] = True
    return mask


def ball_mask(
    shape: Shape, sides: Sequence[int], first: Sequence[int], device: torch.device
) -> Tensor:
    """The ellipsoid that fills such a box, bool, `shape`."""
    total = torch.zeros(shape, device=device)
    for axis, (extent, side, start) in enumerate(zip(shape, sides, first, strict=True)):
        at = torch.arange(extent, device=device) - (start + (side - 1) / 2)
        line = (at / max(0.5, side / 2)) ** 2
        total = total + line.reshape([-1 if axis == other else 1 for other in range(3)])
    return total <= 1


def draw_mask(shape: torch.Size, least: int, largest: float, chances: Chances) -> Tensor:
    """Draw where an anomaly is: a box, an ellipsoid or a blob.

    Arguments:
        shape: Voxels along (D, H, W).
        least: Voxels of its side at least.
        largest: Side at most, as a share of that of the crop.
        chances: The sources of chance.

    Returns:
        bool, `shape`.
    """
    d, h, w = shape
    sides, first = [], []
    for extent in shape:
        most = max(least, round(largest * extent))
        side = min(extent, least + chances.whole(most - least + 1))
        sides.append(side)
        # At least half of it lies within the crop.
        first.append(chances.whole(extent) - side // 2)
    kind = chances.whole(3)
    if kind == 0:
        return box_mask((d, h, w), sides, first, chances.device)
    mask = ball_mask((d, h, w), sides, first, chances.device)
    if kind == 1:
        return mask
    blob = mask & perlin_mask((d, h, w), 0.0, chances)
    return torch.where(blob.any(), blob, mask)


def softened(mask: Tensor, width: int) -> Tensor:
    """A mask that falls off over `width` voxels to both sides of its edge, 0 to 1, `(D, H, W)`."""
    if width < 1:
        return mask.float()
    # The mask and its number of voxels within reach, as there are fewer at the border.
    both = F.pad(
        torch.stack([mask.float(), torch.ones_like(mask, dtype=torch.float32)]), (width,) * 6
    )
    smooth = both[:, None]
    for axis in range(3):
        kernel = [2 * width + 1 if axis == other else 1 for other in range(3)]
        smooth = F.avg_pool3d(smooth, kernel, 1)
    total, count = smooth[:, 0]
    return total / count
