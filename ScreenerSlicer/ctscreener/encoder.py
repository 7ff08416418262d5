"""The CT encoder: the first stages of an inflated 3D ResNet, which sees a whole scan at once.

Architecture: bottlenecks of He et al., arXiv 1512.03385, inflated as by Carreira and Zisserman,
arXiv 1705.07750, in the sizes of Merlin (Blankemeier et al., arXiv 2406.06512). Its BatchNorm is
folded into the convolutions: what is left is convolutions with a bias, ReLU, sums and one pooling.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.scan import Shape

STEM_STRIDE: Shape = (2, 4, 4)
"""Voxels of the input for one voxel of the first stage."""
EXPANSION = 4
"""Channels out of a bottleneck for each channel in its middle."""


@dataclass(frozen=True)
class EncoderSettings:
    """The sizes of an encoder; the defaults are those of Merlin's first two stages."""

    widths: tuple[int, ...] = (64, 128)
    """Channels in the middle of the bottlenecks of each stage; the stem has the first of them."""
    bottlenecks: tuple[int, ...] = (3, 8)
    """Bottlenecks of each stage."""

    def __post_init__(self) -> None:
        """Raise ValueError where stages and their blocks do not match."""
        sizes = (*self.widths, *self.bottlenecks)
        if not self.widths or len(self.widths) != len(self.bottlenecks) or min(sizes) < 1:
            raise ValueError(
                f"Expected a width and a number of blocks for each stage, found {self.widths} "
                f"and {self.bottlenecks}."
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the map of each stage."""
        return tuple(EXPANSION * width for width in self.widths)

    @property
    def halo(self) -> int:
        """Slices of the first stage that a slab must have beside its own on either side.

        Every bottleneck reaches one slice further; pooling and stem together another.
        """
        return self.bottlenecks[0] + 1

    @property
    def strides(self) -> tuple[Shape, ...]:
        """Voxels of the input for one voxel of the map of each stage, along (D, H, W)."""
        depth, height, width = STEM_STRIDE
        return tuple((depth << s, height << s, width << s) for s in range(len(self.widths)))


class Bottleneck(nn.Module):
    """Three convolutions around which the input goes straight on, `max(0, x + f(x))`.

    Arguments:
        inputs: Channels in.
        width: Channels in the middle; a fourth of those out.
        stride: Of the middle convolution, the same along all axes.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        out = EXPANSION * width
        self.conv1 = nn.Conv3d(inputs, width, 1)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1)
        self.conv3 = nn.Conv3d(width, out, 1)
        changed = stride != 1 or inputs != out
        self.project = nn.Conv3d(inputs, out, 1, stride) if changed else None

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, 4 width, D / stride, H / stride, W / stride)`, rounded up."""
        h = F.relu_(self.conv1(x))
        h = self.conv3(F.relu_(self.conv2(h)))
        return F.relu_(h.add_(self.project(x) if self.project else x))


class Encoder(nn.Module):
    """Maps of a scan at several strides.

    A voxel k of a map lies at the voxel `k * stride` of the input, not between two of them.

    Arguments:
        settings: The sizes.

    Example:
        >>> encoder = Encoder(EncoderSettings(widths=(2, 4), bottlenecks=(1, 1)))
        >>> [tuple(y.shape) for y in encoder(torch.zeros(1, 1, 9, 16, 17))]
        [(1, 8, 5, 4, 5), (1, 16, 3, 2, 3)]
    """

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.stem = nn.Conv3d(1, settings.widths[0], (3, 7, 7), (1, 2, 2), padding=(1, 3, 3))
        stages, inputs = [], settings.widths[0]
        for number, (width, blocks) in enumerate(
            zip(settings.widths, settings.bottlenecks, strict=True)
        ):
            strides = [1 if number == 0 else 2, *[1] * (blocks - 1)]
            stage = []
            for stride in strides:
                stage.append(Bottleneck(inputs, width, stride))
                inputs = EXPANSION * width
            stages.append(nn.Sequential(*stage))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The map of each stage.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.

        Returns:
            For each stage `(B, channels, D / stride, H / stride, W / stride)`, rounded up.
        """
        return self.onwards(self.first(x), len(self.stages) - 1)

    def first(self, x: Tensor) -> Tensor:
        """The map of the first stage; the image is `(B, 1, D, H, W)`."""
        h = F.max_pool3d(F.relu_(self.stem(x)), 3, 2, padding=1)
        return self.stages[0](h)

    def onwards(self, first: Tensor, last: int) -> list[Tensor]:
        """The maps of the stages 0 to `last` from that of the first, given back among them."""
        maps = [first]
        for stage in self.stages[1 : last + 1]:
            maps.append(stage(maps[-1]))
        return maps

    def first_in_slabs(self, x: Tensor, depth: int) -> Tensor:
        """The map of the first stage, slab by slab: that of the whole, in bounded memory.

        The first stage holds by far the largest activations. A slab sees enough slices beyond
        its own that none of its voxels meets a border that the scan does not have.

        Arguments:
            x: The image, `(B, 1, D, H, W)`.
            depth: Slices of the map for a slab.

        Returns:
            What `first` gives, up to rounding.
        """
        cuts = slabs(x.shape[2], depth, self.settings.halo)
        return torch.cat([self.first(x[:, :, seen])[:, :, kept] for seen, kept in cuts], 2)


def slabs(slices: int, depth: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """Cut a scan into slabs for the first stage.

    Arguments:
        slices: Slices of the image.
        depth: Slices of the first stage's map in one slab.
        halo: Slices of that map that a slab sees beside its own, on either side.

    Yields:
        The slices of the image that a slab sees, and those of the map it gives that are kept.

    Example:
        >>> list(slabs(40, 10, 4))
        [(slice(0, 28, None), slice(0, 10, None)), (slice(12, 40, None), slice(4, 14, None))]
    """
    unit = STEM_STRIDE[0]
    total = -(-slices // unit)
    for start in range(0, total, depth):
        stop = min(start + depth, total)
        low, high = max(start - halo, 0), min(stop + halo, total)
        yield slice(low * unit, min(high * unit, slices)), slice(start - low, stop - low)
