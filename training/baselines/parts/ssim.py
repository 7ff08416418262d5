"""Structural similarity in 3D (Wang et al., IEEE Transactions on Image Processing 2004)."""

import torch
import torch.nn.functional as F
from torch import Tensor

K1, K2 = 0.01, 0.03


def ssim(first: Tensor, second: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Similarity around every voxel that a whole window fits around.

    Arguments:
        first: Values 0 to 1, `(B, 1, D, H, W)`.
        second: The same shape.
        window: Voxels of the Gaussian window along each axis, odd; no larger than the volume.
        sigma: Its standard deviation in voxels.

    Returns:
        float32, up to 1, `(B, 1, D - window + 1, ...)`.
    """
    with torch.autocast(first.device.type, enabled=False):
        a, b = first.float(), second.float()
        # Five means in one go.
        means = blurred(torch.cat([a, b, a * a, b * b, a * b], dim=1), window, sigma)
        mean_a, mean_b, square_a, square_b, product = means.split(1, dim=1)
        variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
        covariance = product - mean_a * mean_b
        one, two = K1**2, K2**2
        luminance = (2 * mean_a * mean_b + one) / (mean_a**2 + mean_b**2 + one)
        structure = (2 * covariance + two) / (variance_a + variance_b + two)
        return luminance * structure


def blurred(x: Tensor, window: int, sigma: float) -> Tensor:
    """Weighted means over windows, axis by axis, without padding, `(B, C, D', H', W')`."""
    at = torch.arange(window, device=x.device, dtype=x.dtype) - window // 2
    weights = torch.exp(-0.5 * (at / sigma) ** 2)
    weights = weights / weights.sum()
    shape, x = x.shape[:2], x.flatten(0, 1)[:, None]
    for axis in range(3):
        sides = [window if axis == other else 1 for other in range(3)]
        x = F.conv3d(x, weights.reshape(1, 1, *sides))
    return x[:, 0].unflatten(0, shape)
