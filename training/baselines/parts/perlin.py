"""Perlin noise in 3D (Perlin, SIGGRAPH 1985): smooth chance, whose highest parts make odd shapes."""

import math

import torch
from torch import Tensor

from ctscreener.scan import Shape
from training.data.chance import Chances


def perlin(shape: Shape, cells: Shape, chances: Chances) -> Tensor:
    """Draw gradient noise.

    Arguments:
        shape: Voxels along (D, H, W).
        cells: Cells of the lattice along each axis.
        chances: Draw the lattice; the noise is made on their device.

    Returns:
        float32, -1 to 1, 0 at the lattice's points, `shape`.
    """
    drawn = chances.normal([n + 1 for n in cells] + [3])
    return interpolated(drawn / drawn.norm(dim=-1, keepdim=True).clamp(min=1e-6), shape)


def interpolated(gradients: Tensor, shape: Shape) -> Tensor:
    """Noise from the gradients at the points of a lattice, `(cells + 1, ..., 3)`."""
    below, share = [], []
    for axis, extent in enumerate(shape):
        cells = gradients.shape[axis] - 1
        at = torch.arange(extent, device=gradients.device) * (cells / extent)
        below.append(at.floor().long())
        share.append((at - at.floor()).float())
    total = torch.zeros(shape, device=gradients.device)
    for corner in range(8):
        offsets = [(corner >> axis) & 1 for axis in range(3)]
        d, h, w = (index + offset for index, offset in zip(below, offsets, strict=True))
        slopes = gradients[d[:, None, None], h[:, None], w]
        value, weight = torch.zeros_like(total), torch.ones_like(total)
        for axis in range(3):
            side = [-1 if axis == other else 1 for other in range(3)]
            distance = (share[axis] - offsets[axis]).reshape(side)
            value = value + slopes[..., axis] * distance
            rise = fade(share[axis]).reshape(side)
            weight = weight * (rise if offsets[axis] else 1 - rise)
        total = total + weight * value
    # Half of a cell's diagonal is the most that a product of unit gradients can reach.
    return total * (2 / math.sqrt(3))


def fade(t: Tensor) -> Tensor:
    """Perlin's 6t^5 - 15t^4 + 10t^3: 0 to 1, flat at both ends up to the second derivative."""
    return t**3 * (t * (t * 6 - 15) + 10)
