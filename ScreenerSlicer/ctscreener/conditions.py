"""Conditions: what is known of a position without looking at what may be abnormal there.

`none` is a condition of zero channels, `sincos` encodes the position in the whole scan, `learned`
is a network that was made invariant to masked blocks (Goncharov et al., arXiv 2502.08321, 3.2),
`ape` encodes the position in the body that a network reads off the image (Goncharov et al.,
"Anatomical Positional Embeddings", arXiv 2409.10291). They may be combined: their channels are
concatenated.

A network that trained for long forgets what masks hid; one that trained for minutes does not. What
it and the descriptor say around a voxel, in a shell that leaves out the voxel itself, is blind to
a small anomaly there by construction.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ctscreener.networks import NetworkSettings, UNet
from ctscreener.scan import Shape

Shell = tuple[int, int]
"""Pooled voxels from a voxel to the faces of the inner and the outer cube: what lies between."""


@dataclass(frozen=True)
class ConditionSettings:
    """Which conditions a model has."""

    sincos: int = 0
    """Frequencies of the positional encoding along each axis; 0 leaves it out."""
    learned: NetworkSettings | None = None
    """The masking-invariant network, which takes 2 channels; None leaves it out."""
    learned_shell: Shell | None = None
    """Shell around a voxel over which the network's output is averaged; None reads the voxel."""
    surround: tuple[Shell, ...] = ()
    """Shells whose mean descriptors are conditions: a near one tells what belongs beside a small
    anomaly, a far one beside a large one."""
    ape: NetworkSettings | None = None
    """The network of anatomical positions, which takes 2 channels and gives 3; None leaves it
    out."""
    ape_frequencies: int = 4
    """Frequencies of the encoding of its positions along each axis."""

    @property
    def networks(self) -> list[NetworkSettings]:
        """The networks that there are."""
        return [network for network in (self.learned, self.ape) if network]

    def channels(self, described: int) -> int:
        """Channels of the condition, where descriptors have `described` channels."""
        learned = self.learned.out if self.learned else 0
        places = 6 * self.sincos + (6 * self.ape_frequencies if self.ape else 0)
        return places + learned + described * len(self.surround)


def sincos(positions: Tensor, frequencies: int) -> Tensor:
    """Sines and cosines of absolute positions with respect to the whole scan.

    Arguments:
        positions: Position as a share 0..1 of the body's box along (d, h, w), `(B, 3, ...)`.
        frequencies: The wavelengths are 2, 1, 1/2, ... of the box.

    Returns:
        `(B, 6 * frequencies, ...)`.

    Example:
        >>> sincos(torch.tensor([[0.0, 0.25, 1.0]]), 1).round(decimals=2)[0, 3:]
        tensor([ 1.0000,  0.7100, -1.0000])
    """
    waves = [2.0**k * math.pi * positions for k in range(frequencies)]
    return torch.cat([f(wave) for wave in waves for f in (torch.sin, torch.cos)], dim=1)


def anatomical(logits: Tensor, frequencies: int) -> Tensor:
    """Sines and cosines of anatomical positions.

    Arguments:
        logits: What the network of anatomical positions gives, `(B, 3, ...)`.
        frequencies: The wavelengths are 2, 1, 1/2, ... of the range of a position.

    Returns:
        `(B, 6 * frequencies, ...)`.
    """
    return sincos(logits.sigmoid(), frequencies)


def shell_mean(maps: Tensor, where: Tensor, shell: Shell) -> Tensor:
    """The mean over the body voxels of a cubic shell around each voxel.

    Arguments:
        maps: Any maps, `(B, C, D, H, W)`.
        where: Voxels that count, bool, `(B, D, H, W)`.
        shell: Half sides of the cube that is left out and of the whole cube, less half a voxel.

    Returns:
        `(B, C, D, H, W)`, float32; 0 where the shell holds no voxel that counts.

    Example:
        >>> line = torch.tensor([1.0, 2.0, 30.0, 4.0, 5.0])[None, None, None, None]
        >>> shell_mean(line, torch.ones(1, 1, 1, 5), (0, 1)).flatten().tolist()
        [2.0, 15.5, 3.0, 17.5, 4.0]
    """
    weight = where[:, None].float()
    inner, outer = shell
    values = maps.float() * weight
    total = box_sum(values, outer) - box_sum(values, inner)
    count = box_sum(weight, outer) - box_sum(weight, inner)
    return total / count.round().clamp_min(1)


def box_sum(maps: Tensor, radius: int) -> Tensor:
    """Sums over cubes of `2 radius + 1` voxels around each voxel, `(B, C, D, H, W)`, float32."""
    for axis in (2, 3, 4):
        at = torch.arange(maps.shape[axis], device=maps.device)
        near = ((at - at[:, None]).abs() <= radius).float()
        # Autocast would add in bfloat16.
        with torch.autocast(maps.device.type, enabled=False):
            maps = (maps.movedim(axis, -1) @ near).movedim(-1, axis)
    return maps


def tile_positions(
    start: Shape,
    size: Shape,
    shape: Shape,
    stride: Shape,
    device: torch.device | None = None,
) -> Tensor:
    """Where the pooled voxels of one tile lie in the whole scan.

    Arguments:
        start: First voxel of the tile.
        size: Voxels of the tile.
        shape: Voxels of the whole scan, cropped to the body.
        stride: Voxels pooled into one.
        device: Where to; the processor where none is given.

    Returns:
        Shares 0..1 along (d, h, w), `(3, *(size / stride))`.
    """
    axes = [
        (first + unit * (torch.arange(length // unit, device=device) + 0.5)) / extent
        for first, length, extent, unit in zip(start, size, shape, stride, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


class Condition(nn.Module):
    """All conditions of a model, on the pooled grid.

    Arguments:
        settings: Which ones.
    """

    def __init__(self, settings: ConditionSettings) -> None:
        super().__init__()
        for network in settings.networks:
            if network.inputs != 2:
                raise ValueError(
                    "A condition network sees the image and its mask: expected inputs=2, "
                    f"found {network.inputs}."
                )
        if settings.ape and settings.ape.out != 3:
            raise ValueError(
                f"An anatomical position has three axes: expected out=3, found {settings.ape.out}."
            )
        self.settings = settings
        self.learned = UNet(settings.learned) if settings.learned else None
        self.ape = UNet(settings.ape) if settings.ape else None

    def pooled(
        self, x: Tensor, y: Tensor, positions: Tensor, where: Tensor, stride: Shape
    ) -> Tensor:
        """Conditions of whole tiles, nothing masked.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.
            y: Its descriptors, `(B, d, D / stride, H / stride, W / stride)`.
            positions: Share of the body's box, `(B, 3, ...)` on that grid, see `tile_positions`.
            where: Body voxels of that grid, bool, `(B, ...)`.
            stride: Voxels pooled into one.

        Returns:
            `(B, channels, ...)`, float32; zero channels where there is no condition.
        """
        settings = self.settings
        parts = [sincos(positions, settings.sincos)] if settings.sincos else []
        visible = torch.cat([x, torch.ones_like(x)], dim=1)
        if self.learned:
            c = self.learned.pooled(visible, stride)
            shell = settings.learned_shell
            parts.append(shell_mean(c, where, shell) if shell else c)
        parts += [shell_mean(y, where, shell) for shell in settings.surround]
        if self.ape:
            logits = self.ape.pooled(visible, stride)
            parts.append(anatomical(logits, settings.ape_frequencies))
        return torch.cat(parts, dim=1) if parts else positions[:, :0]
