"""What reads anomaly scores off the maps of the encoder: a discriminator and a density.

Both begin with a linear map of the features. It commutes with interpolation, so it is applied to
each map at that map's own resolution, and a few hundred channels are brought up in place of
thousands (encoder maps, strides and their alignment: `ctscreener.encoder`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.scan import Shape

CHUNK = 16
"""Slices of the finest map that the hidden layer is built for at a time: bounds the memory."""


@dataclass(frozen=True)
class Source:
    """One map that features are taken from."""

    stage: int
    """Stage of the encoder, 0 for the finest."""
    half: bool = False
    """Whether the encoder saw the image at half of its resolution: large lesions fit into what it
    sees then."""
    cube: int = 1
    """Side, in voxels of the map, of the cube that features are averaged over; odd."""

    def __post_init__(self) -> None:
        """Raise ValueError where there can be no such map."""
        if self.stage < 0 or self.cube < 1 or self.cube % 2 == 0:
            raise ValueError(f"Expected a stage from 0 on and an odd cube, found {self}.")

    @property
    def level(self) -> int:
        """How often the finest map is halved to the resolution of this one."""
        return self.stage + self.half

    @property
    def name(self) -> str:
        """A name that a tensor can have, such as `half2_cube3`."""
        return f"{'half' if self.half else 'stage'}{self.stage}_cube{self.cube}"


SOURCES = (Source(0), Source(1), Source(1, cube=3), Source(1, cube=7), Source(0, half=True))


@dataclass(frozen=True)
class HeadSettings:
    """The sizes of the discriminator."""

    sources: tuple[Source, ...] = SOURCES
    """Maps that it sees."""
    hidden: int = 512
    """Channels of its hidden layer; networks that are averaged lie side by side in it."""

    def __post_init__(self) -> None:
        """Raise ValueError where there is nothing to read."""
        if not self.sources:
            raise ValueError("Expected at least one map for the discriminator, found none.")


@dataclass(frozen=True)
class GaussianSettings:
    """The sizes of the density."""

    sources: tuple[Source, ...] = (Source(1),)
    """Maps that it sees, all of one resolution."""
    components: int = 96
    """Principal components that are kept."""
    head: Literal["gaussian", "flow"] = "gaussian"
    """A Gaussian, or a normalizing flow."""
    sincos: int = 0
    """Frequencies of the place in the body along each axis, as a condition; 0 leaves it out."""
    surround: tuple[tuple[int, int], ...] = ()
    """Shells whose mean components are conditions: half sides, in voxels of the map and less half
    a voxel, of the cube that is left out and of the whole cube."""
    invariant: int = 0
    """Channels of the masking-invariant condition; 0 leaves it out."""
    invariant_hidden: int = 32
    """Channels of the hidden layers of its network."""
    reach: tuple[int, ...] = (1, 2, 4)
    """Dilation of each of its 3x3x3 convolutions, in voxels of the map; their sum is how far a
    voxel's condition sees."""
    blocks: int = 8
    """Blocks of the flow."""
    hidden: int = 128
    """Width of the networks of the flow."""

    def __post_init__(self) -> None:
        """Raise ValueError where there is nothing to read, or maps of several resolutions."""
        if any(not 0 <= inner < outer for inner, outer in self.surround):
            raise ValueError(f"Expected shells with 0 <= inner < outer, found {self.surround}.")
        if len({source.level for source in self.sources}) != 1:
            raise ValueError("Expected maps of one resolution for the density, found others.")
        if self.components < 1:
            raise ValueError(f"Expected 1 or more components, found {self.components}.")


Maps = Mapping[Source, Tensor]
"""Maps of one scan by what they are of, `(1, C, d, h, w)` each."""


def averaged(z: Tensor, cube: int) -> Tensor:
    """The mean over a cube around each voxel, over what of it lies in the map.

    Arguments:
        z: A map, `(B, C, D, H, W)`.
        cube: Side of the cube in voxels, odd.

    Returns:
        A map of the same shape and type.

    Example:
        >>> averaged(torch.tensor([1.0, 2.0, 6.0])[None, None, None, None], 3).flatten().tolist()
        [1.5, 3.0, 4.0]
    """
    if cube == 1:
        return z
    z = z.permute(0, 2, 3, 4, 1)
    for axis in (1, 2, 3):
        at = torch.arange(z.shape[axis], device=z.device)
        near = ((at - at[:, None]).abs() <= cube // 2).float()
        mean = (near / near.sum(1, keepdim=True)).to(z.dtype)
        # One product for each row of what lies before the axis, over all that comes after it.
        z = (mean @ z.flatten(axis + 1).flatten(0, axis - 1)).reshape(z.shape)
    return z.permute(0, 4, 1, 2, 3)


def doubled(z: Tensor, size: Sequence[int]) -> Tensor:
    """Bring a map to twice its resolution, where voxel k of it lies at voxel 2k of the finer one.

    Arguments:
        z: A map, `(B, C, d, h, w)`.
        size: Voxels of the finer map; half of them, rounded up, are those of `z`.

    Returns:
        `(B, C, *size)`; beyond the last voxel its value goes on.

    Example:
        >>> doubled(torch.tensor([0.0, 2.0])[None, None, None, None], (1, 1, 4)).flatten().tolist()
        [0.0, 1.0, 2.0, 2.0]
    """
    if any(-(-n // 2) != m for n, m in zip(size, z.shape[2:], strict=True)):
        raise ValueError(f"Expected half of {tuple(size)} voxels, found {tuple(z.shape[2:])}.")
    for axis, n in enumerate(size, start=2):
        z = _doubled_along(z, axis, n)
    return z


def _doubled_along(z: Tensor, axis: int, n: int) -> Tensor:
    """`doubled` along one axis, to n voxels: what was there, and the means of neighbours."""
    shape = [*z.shape[:axis], n, *z.shape[axis + 1 :]]
    # Channels of a voxel stay beside each other: several times faster than trilinear `interpolate`.
    order = torch.channels_last_3d
    finer = torch.empty(shape, dtype=z.dtype, device=z.device, memory_format=order)
    finer.narrow(axis, 0, n)[_every_second(axis, 0)] = z
    between = z.shape[axis] - 1
    finer.narrow(axis, 0, 2 * between)[_every_second(axis, 1)] = torch.lerp(
        z.narrow(axis, 0, between), z.narrow(axis, 1, between), 0.5
    )
    if n == 2 * z.shape[axis]:
        finer.select(axis, n - 1).copy_(z.select(axis, between))
    return finer


def _every_second(axis: int, start: int) -> tuple[slice, ...]:
    """What takes every second voxel along an axis."""
    return *(slice(None),) * axis, slice(start, None, 2)


def halved(size: Sequence[int], times: int) -> Shape:
    """Voxels of a map whose resolution is halved so often."""
    d, h, w = (-(-n // (1 << times)) for n in size)
    return d, h, w


class Discriminator(nn.Module):
    """One hidden layer and one score: the log odds that a voxel belongs to an anomaly.

    Arguments:
        settings: The sizes.
        channels: Channels of each map that it sees.
    """

    def __init__(self, settings: HeadSettings, channels: Mapping[Source, int]) -> None:
        super().__init__()
        self.settings = settings
        self.inputs = nn.ModuleDict(
            {
                s.name: nn.Conv3d(channels[s], settings.hidden, 1, bias=False)
                for s in settings.sources
            }
        )
        self.bias = nn.Parameter(torch.zeros(settings.hidden))
        self.out = nn.Parameter(torch.zeros(settings.hidden))
        self.out_bias = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Maps, size: Sequence[int]) -> Tensor:
        """Log odds on the finest grid.

        Arguments:
            maps: The maps of its sources.
            size: Voxels of the finest grid.

        Returns:
            `(d, h, w)`, float32.
        """
        device = next(iter(maps.values())).device
        # A score is the small difference of large sums: bfloat16 would leave noise of it.
        with torch.autocast(device.type, enabled=False):
            levels: dict[int, Tensor] = {}
            for source in self.settings.sources:
                if source.level:
                    z = self._projected(maps[source], source)
                    level = source.level
                    levels[level] = levels[level].add_(z) if level in levels else z
            for level in range(max(levels, default=0), 1, -1):
                z = doubled(levels.pop(level), halved(size, level - 1))
                levels[level - 1] = levels[level - 1].add_(z) if level - 1 in levels else z
            return self._finest(maps, levels.get(1), size)

    def _projected(self, z: Tensor, source: Source) -> Tensor:
        """What a map gives to the hidden layer, at the map's own resolution."""
        # As a product of matrices: a convolution would take its channels apart, and copy them.
        linear = self.inputs.get_parameter(f"{source.name}.weight").flatten(1)
        z = F.linear(z.movedim(1, -1).float(), linear).movedim(-1, 1)
        # The mean of a linear map is the linear map of the mean, and may have fewer channels.
        return averaged(z, source.cube)

    def _finest(self, maps: Maps, coarse: Tensor | None, size: Sequence[int]) -> Tensor:
        """The score from the hidden layer, a few slices of the finest grid at a time."""
        fine = [source for source in self.settings.sources if source.level == 0]
        scores = []
        for start in range(0, size[0], CHUNK):
            stop = min(start + CHUNK, size[0])
            hidden: Tensor | None = None
            for source in fine:
                # Slices beside the chunk, for the means that reach over its faces.
                low = max(start - source.cube // 2, 0)
                part = maps[source][:, :, low : stop + source.cube // 2]
                z = self._projected(part, source)[:, :, start - low : stop - low]
                hidden = z if hidden is None else hidden.add_(z)
            if coarse is not None:
                low, high = start // 2, min(-(-(stop + 1) // 2), coarse.shape[2])
                whole = (2 * (high - low), size[1], size[2])
                z = doubled(coarse[:, :, low:high], whole)[:, :, start - 2 * low : stop - 2 * low]
                hidden = z if hidden is None else hidden.add_(z)
            assert hidden is not None, "a discriminator has a source"
            active = hidden[0].movedim(0, -1).add_(self.bias).relu_()
            scores.append(active @ self.out + self.out_bias)
        return torch.cat(scores)


class Gaussian(nn.Module):
    """A Gaussian of the principal components of the features, with full covariance.

    Arguments:
        settings: The sizes.
        channels: Channels of each map that it sees.
    """

    def __init__(self, settings: GaussianSettings, channels: Mapping[Source, int]) -> None:
        super().__init__()
        self.settings = settings
        total = sum(channels[source] for source in settings.sources)
        self.mean = nn.Buffer(torch.zeros(total))
        self.whiten = nn.Buffer(torch.zeros(settings.components, total))
        self.log_det = nn.Buffer(torch.zeros(1))

    def forward(self, maps: Maps, size: Sequence[int], body: Tensor | None = None) -> Tensor:
        """Nll in nats on the finest grid, whatever the body is; see `Discriminator.forward`."""
        level = self.settings.sources[0].level
        with torch.autocast(self.mean.device.type, enabled=False):
            return self._nll(maps, size, level)

    def _nll(self, maps: Maps, size: Sequence[int], level: int) -> Tensor:
        """The nll in float32: autocast would round what is left of large sums."""
        y = torch.cat([averaged(maps[s], s.cube) for s in self.settings.sources], 1).float()
        z = torch.einsum("kc,cdhw->kdhw", self.whiten, y[0] - self.mean[:, None, None, None])
        nll = 0.5 * (z**2).sum(0) + self.log_det
        for finer in range(level - 1, -1, -1):
            nll = doubled(nll[None, None], halved(size, finer))[0, 0]
        return nll
