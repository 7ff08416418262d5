"""What reads features off a tile: a network for photographs, Screener's descriptor, a CT encoder."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.encoded import PLAIN
from ctscreener.encoder import STEM_STRIDE, Encoder, EncoderSettings
from ctscreener.heads import doubled
from ctscreener.networks import NetworkSettings, UNet
from ctscreener.scan import Shape
from training.baselines.parts.slice_features import FeatureSettings, SliceFeatures
from training.density import network_of, weights_of
from training.encoder import load_encoder
from training.flags import FLAT, HIDDEN

Kind = Literal["slices", "descriptor", "encoder"]
"""A network for photographs, slice by slice; Screener's descriptor; a public CT encoder."""


@dataclass(frozen=True)
class ReaderSettings:
    """Which features are read."""

    reads: Kind = "slices"
    """`slices`: a network for photographs. `descriptor`: that of a run (--descriptor). `encoder`: a
    public CT encoder (--encoder), for a store that was prepared with --plain."""
    slices: Annotated[FeatureSettings, FLAT] = field(default_factory=FeatureSettings)
    """Which features of slices."""
    descriptor: Path = Path("runs/descriptor")
    """Run folder of a descriptor."""
    block: Shape = (2, 4, 4)
    """Voxels that descriptors are averaged over."""
    encoder: Path = Path("runs/encoder")
    """Folder that the stage `encoder` wrote."""
    stages: int = 2
    """Stages of the encoder that are read."""
    network: Annotated[NetworkSettings | None, HIDDEN] = None
    """Sizes of the descriptor; read from its run."""
    sizes: Annotated[EncoderSettings | None, HIDDEN] = None
    """Sizes of the encoder; read from its folder."""

    @property
    def plain(self) -> bool:
        """Whether scans are seen in HU."""
        return self.reads == "encoder"

    @property
    def file(self) -> Path:
        """The file that the weights come from, but for those of slices."""
        if self.reads == "descriptor":
            return self.descriptor / "network.safetensors"
        return self.encoder / "encoder.safetensors"


class Reader(nn.Module, ABC):
    """A frozen network that describes tiles."""

    channels: int
    """Numbers in a feature."""
    multiple: Shape = (1, 1, 1)
    """What the sides of a tile are multiples of."""

    def train(self, mode: bool = True) -> "Reader":
        """Stay in evaluation."""
        return super().train(False)

    @abstractmethod
    def load(self, settings: ReaderSettings) -> None:
        """Fill the network with the weights that settings name.

        Raises:
            InputError: There are none, or they do not fit.
        """

    @abstractmethod
    def rows(self, x: Tensor) -> Tensor:
        """Features of tiles.

        Arguments:
            x: As a screening gives it: values 0 to 1, or HU over 255, `(B, 1, D, H, W)`.

        Returns:
            `(B, D', H', W', channels)`, float32.
        """

    def placed(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Scores on a grid whose voxels are blocks of a tile's.

        Arguments:
            scores: One for each feature, `(B, D', H', W')`, NaN where there is none.
            size: Voxels of the tile.

        Returns:
            On such a grid; as they are, where features stand for blocks.
        """
        return scores


class SliceReader(Reader):
    """Features of slices, as PatchCore joins them.

    Arguments:
        settings: Which ones.
    """

    def __init__(self, settings: ReaderSettings) -> None:
        super().__init__()
        self.describe = SliceFeatures(settings.slices)
        self.channels = sum(self.describe.channels)

    def load(self, settings: ReaderSettings) -> None:
        """Load weights of the package or of a file."""
        self.describe.load(settings.slices)

    def rows(self, x: Tensor) -> Tensor:
        """As deep as the tile."""
        return self.describe.joined(x)


class DescriptorReader(Reader):
    """Screener's own descriptors, averaged over blocks.

    Arguments:
        settings: Which ones; with the sizes of the network.
    """

    def __init__(self, settings: ReaderSettings) -> None:
        super().__init__()
        self.network = UNet(settings.network or NetworkSettings()).requires_grad_(False)
        self.block = settings.block
        self.channels = self.network.settings.out
        sides = zip(self.network.settings.stride, self.block, strict=True)
        d, h, w = (math.lcm(*both) for both in sides)
        self.multiple = (d, h, w)

    def load(self, settings: ReaderSettings) -> None:
        """Load what a run has trained."""
        self.network.load_state_dict(weights_of(settings.descriptor))

    @torch.no_grad()
    def rows(self, x: Tensor) -> Tensor:
        """One for each block of voxels."""
        return self.network.pooled(x, self.block).float().movedim(1, -1)


class EncoderReader(Reader):
    """Maps of a CT encoder's first stages, on the grid of the first.

    Arguments:
        settings: Which ones; with the sizes of the network.
    """

    def __init__(self, settings: ReaderSettings) -> None:
        super().__init__()
        sizes = settings.sizes or EncoderSettings()
        if not 1 <= settings.stages <= len(sizes.widths):
            raise ValueError(f"the encoder has {len(sizes.widths)} stages, not {settings.stages}")
        sizes = EncoderSettings(
            sizes.widths[: settings.stages], sizes.bottlenecks[: settings.stages]
        )
        self.encoder = Encoder(sizes).requires_grad_(False)
        self.channels = sum(sizes.channels)

    def load(self, settings: ReaderSettings) -> None:
        """Load the stages that are read."""
        whole, _ = load_encoder(settings.encoder)
        wanted = self.encoder.state_dict().keys()
        self.encoder.load_state_dict({k: v for k, v in whole.state_dict().items() if k in wanted})

    @torch.no_grad()
    def rows(self, x: Tensor) -> Tensor:
        """One for 2 x 4 x 4 voxels; coarser stages are brought up."""
        low, high = PLAIN.window
        hu = 255 * x.float()
        maps = self.encoder(((hu - low) / (high - low)).clamp(0, 1))
        while len(maps) > 1:
            coarse = maps.pop()
            maps[-1] = torch.cat([maps[-1], doubled(coarse, maps[-1].shape[2:])], dim=1)
        return maps[0].float().movedim(1, -1)

    def placed(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """On all voxels: the feature k lies at the voxel `k * stride`, not between two."""
        known = scores.isfinite()
        both = torch.stack([torch.where(known, scores, 0.0), known.float()], dim=1)
        between = [
            (n - 1) * step + 1 for n, step in zip(scores.shape[1:], STEM_STRIDE, strict=True)
        ]
        fine = F.interpolate(both, between, mode="trilinear", align_corners=True)
        pads = [n - m for n, m in zip(size, between, strict=True)]
        total, weight = F.pad(fine, (0, pads[2], 0, pads[1], 0, pads[0]), mode="replicate").unbind(
            1
        )
        return torch.where(weight > 0, total / weight, torch.nan)


READERS: dict[Kind, type[Reader]] = {
    "slices": SliceReader,
    "descriptor": DescriptorReader,
    "encoder": EncoderReader,
}


def sizes_read(settings: ReaderSettings) -> dict[str, object]:
    """The sizes of the network, which a fitted rival has to know without its run.

    Raises:
        InputError: There is no such network.
    """
    if settings.reads == "descriptor":
        weights_of(settings.descriptor)
        return {"network": network_of(settings.descriptor)}
    if settings.reads == "encoder":
        return {"sizes": load_encoder(settings.encoder)[1].settings}
    return {}
