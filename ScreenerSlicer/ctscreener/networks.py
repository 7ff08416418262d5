"""The 3D UNet behind descriptors and conditions.

Its output has the full resolution of its input, as the sum over all levels of the decoder of a
1x1x1 convolution brought up by trilinear interpolation. That sum is linear in the features, so
it need not be built in full: `UNet.at` reads it at a few positions (training), `UNet.pooled`
averages it over blocks (scoring), and both equal `UNet.dense` up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.scan import Shape


@dataclass(frozen=True)
class NetworkSettings:
    """The sizes of one UNet."""

    channels: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of each level, finest first; a level has half the resolution of the one before."""
    blocks: int = 1
    """Residual blocks of each level on the way down; the way up has one."""
    stem: Shape = (1, 1, 1)
    """Stride of the first convolution along (D, H, W): above 1, the finest level is coarser."""
    out: int = 32
    """Channels d of the output."""
    inputs: int = 1
    """Channels of the input: 1 for the image, 2 with the mask of what is visible."""
    norm: Literal["group", "voxel"] = "group"
    """Normalization over groups of channels of the whole crop, or over the channels of each voxel,
    as in the authors' code of 2024: graphics cards compute it as the convolutions lie in memory."""

    @property
    def stride(self) -> Shape:
        """Voxels of the input for one voxel of the coarsest level; inputs are multiples of it."""
        factor = 2 ** (len(self.channels) - 1)
        depth, height, width = self.stem
        return depth * factor, height * factor, width * factor


class VoxelNorm(nn.LayerNorm):
    """Normalization over the channels of each voxel, in the precision of its input.

    With channels last in memory it is one kernel and no copy.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return a tensor of the shape of `input`, `(B, channels, D, H, W)`."""
        # Autocast would go to float32 and back; sums are taken in float32 anyhow.
        with torch.autocast(input.device.type, enabled=False):
            weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
            y = F.layer_norm(input.movedim(1, -1), self.normalized_shape, weight, bias, self.eps)
        return y.movedim(-1, 1)


def new_norm(channels: int, norm: str) -> nn.Module:
    """The normalization that settings ask for."""
    if norm == "voxel":
        return VoxelNorm(channels)
    return nn.GroupNorm(max(1, channels // 8), channels)


class ResidualBlock(nn.Module):
    """Pre-activation block of two 3x3x3 convolutions, at one resolution.

    Arguments:
        channels: Channels in and out, a multiple of 8.
        norm: See `NetworkSettings`.
    """

    def __init__(self, channels: int, norm: str = "group") -> None:
        super().__init__()
        self.norm1 = new_norm(channels, norm)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = new_norm(channels, norm)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`, `(B, channels, D, H, W)`."""
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class UNet(nn.Module):
    """A UNet with an output at full resolution, every parameter of which is used.

    Arguments:
        settings: The sizes.

    Example:
        >>> network = UNet(NetworkSettings(channels=(8, 16), out=4))
        >>> network.dense(torch.zeros(1, 1, 4, 6, 8)).shape
        torch.Size([1, 4, 4, 6, 8])
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        channels = settings.channels
        depth, height, width = settings.stem
        kernel = (depth + 2, height + 2, width + 2)
        self.stem = nn.Conv3d(settings.inputs, channels[0], kernel, settings.stem, padding=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, settings.norm) for _ in range(settings.blocks)))
            for width in channels
        )
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(nn.Conv3d(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.up = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairs)
        self.decoder = nn.ModuleList(
            ResidualBlock(width, settings.norm) for width in channels[:-1]
        )
        # One bias serves the sum of all heads.
        self.heads = nn.ModuleList(
            nn.Conv3d(width, settings.out, 1, bias=level == 0)
            for level, width in enumerate(channels)
        )

    def dense(self, x: Tensor) -> Tensor:
        """The output at every voxel.

        Arguments:
            x: The image, scaled to 0..1, `(B, inputs, D, H, W)`.

        Returns:
            `(B, out, D, H, W)`, float32.
        """
        size = list(x.shape[2:])
        maps = zip(self.heads, self.features(x), strict=True)
        return torch.stack(
            [F.interpolate(head(f).float(), size, mode="trilinear") for head, f in maps]
        ).sum(0)

    def at(self, x: Tensor, positions: Tensor) -> Tensor:
        """The output at a few positions, without building the rest.

        Arguments:
            x: The image, scaled to 0..1, `(B, inputs, D, H, W)`.
            positions: Voxel coordinates (d, h, w), centres at integers, `(B, n, 3)`.

        Returns:
            `(B, n, out)`, float32.
        """
        grid = sampling_grid(positions, x.shape[2:])
        parts = []
        for head, f in zip(self.heads, self.features(x), strict=True):
            samples = F.grid_sample(f.float(), grid, padding_mode="border", align_corners=False)
            parts.append(head(samples).float())
        y = torch.stack(parts).sum(0)
        return y[:, :, :, 0, 0].transpose(1, 2)  # (B, out, n, 1, 1) -> (B, n, out)

    def pooled(self, x: Tensor, stride: Shape) -> Tensor:
        """The output averaged over blocks of `stride` voxels, without building it in full.

        Arguments:
            x: The image, scaled to 0..1, `(B, inputs, D, H, W)`.
            stride: The block; divides the shape of the image.

        Returns:
            `(B, out, D / stride, H / stride, W / stride)`, float32.
        """
        maps = [head(f).float() for head, f in zip(self.heads, self.features(x), strict=True)]
        # Autocast would average in bfloat16 too.
        with torch.autocast(x.device.type, enabled=False):
            return torch.stack([average(z, x.shape[2:], stride) for z in maps]).sum(0)

    def features(self, x: Tensor) -> list[Tensor]:
        """The features of each level of the decoder, finest first."""
        check_size(x, self.settings)
        h = self.stem(x)
        last = self.settings.norm == "voxel"
        if last:
            h = h.contiguous(memory_format=torch.channels_last_3d)
        skips = []
        for block, down in zip(self.encoder[:-1], self.down, strict=True):
            skips.append(block(h))
            h = down(skips[-1])
        maps = [self.encoder[-1](h)]
        for level in reversed(range(len(skips))):
            h = self.up[level](maps[-1])
            h = repeated(h) if last else F.interpolate(h, scale_factor=2, mode="nearest")
            maps.append(self.decoder[level](h + skips[level]))
        return maps[::-1]


def sampling_grid(positions: Tensor, size: Sequence[int]) -> Tensor:
    """What grid_sample takes positions as: (w, h, d) in -1..1 between the volume's outer faces.

    Arguments:
        positions: Voxel coordinates (d, h, w), centres at integers, `(B, n, 3)`.
        size: Voxels of the volume along (D, H, W).

    Returns:
        `(B, n, 1, 1, 3)`.
    """
    # Plain numbers go to a card with the kernel; a tensor of them would be a copy that is waited for.
    axes = [(2 * positions[..., axis] + 1) / extent - 1 for axis, extent in enumerate(size)]
    return torch.stack(axes[::-1], -1)[:, :, None, None]


def repeated(x: Tensor) -> Tensor:
    """Repeat every voxel twice along each axis, channels last: on a card `interpolate` reorders.

    Arguments:
        x: `(B, C, D, H, W)`.

    Returns:
        `(B, C, 2 D, 2 H, 2 W)`.
    """
    b, c, d, h, w = x.shape
    split = x.permute(0, 2, 3, 4, 1).reshape(b, d, 1, h, 1, w, 1, c)
    grown = split.expand(b, d, 2, h, 2, w, 2, c).reshape(b, 2 * d, 2 * h, 2 * w, c)
    return grown.permute(0, 4, 1, 2, 3)


def average(z: Tensor, full: torch.Size, stride: Shape) -> Tensor:
    """Bring a level to the full resolution and average that over blocks, one axis at a time.

    Arguments:
        z: The level, float32, `(B, C, D', H', W')`.
        full: The full resolution (D, H, W).
        stride: The block.

    Returns:
        `(B, C, D / stride, H / stride, W / stride)`.
    """
    # The axis that shrinks most goes first: the others then have less to do.
    shrink = [full[axis] / stride[axis] / z.shape[axis + 2] for axis in range(3)]
    for axis in sorted(range(3), key=shrink.__getitem__):
        matrix = pooling_matrix(z.shape[axis + 2], full[axis], stride[axis], z.device)
        z = (z.movedim(axis + 2, -1) @ matrix.T).movedim(-1, axis + 2)
    return z


@lru_cache(maxsize=64)
def pooling_matrix(
    level: int, full: int, stride: int, device: torch.device | None = None
) -> Tensor:
    """Linear interpolation from `level` to `full` voxels, then averages of `stride`, as one matrix.

    Arguments:
        level: Voxels of the coarse axis.
        full: Voxels of the full axis.
        stride: Voxels averaged; divides `full`.
        device: Where it is kept; the processor where none is given.

    Returns:
        `(full / stride, level)`, float32; rows sum to one.
    """
    if full % stride:
        raise ValueError(f"The pooling stride must divide the axis: got {stride} for {full}.")
    # A matrix born in inference mode, once in the cache, would spoil a later training.
    with torch.inference_mode(False):
        up = F.interpolate(torch.eye(level)[None], full, mode="linear")[0]  # (level, full)
        matrix = up.reshape(level, full // stride, stride).mean(-1).T.contiguous()
        return matrix.to(device) if device else matrix


def check_size(x: Tensor, settings: NetworkSettings) -> None:
    """Raise ValueError where the image cannot be halved as often as the network wants."""
    if any(extent % step for extent, step in zip(x.shape[2:], settings.stride, strict=True)):
        raise ValueError(
            f"Expected an image whose sides are multiples of {settings.stride}, "
            f"found {tuple(x.shape[2:])}."
        )
