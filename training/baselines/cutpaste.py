"""CutPaste: a network tells whole crops from ones with a piece moved; a Gaussian of its features.

Li et al., "CutPaste: Self-Supervised Learning for Anomaly Detection and Localization", CVPR 2021,
in their three-way form, brought to 3D: a crop as it is, with a box of it pasted elsewhere, or with
a long thin one ("scar"). For a map they score many small crops by a Gaussian of their embeddings.
The network here is convolutional, and its embedding the mean over a crop, so that the mean over
windows of that size gives the embeddings of all crops of a tile at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from ctscreener.scorer import TiledScorer
from training.baselines.method import Method, Phase, TrainedSettings
from training.baselines.parts.encoder_decoder import convolutions
from training.baselines.parts.gaussian import Gaussian, Moments
from training.baselines.parts.store_tiles import store_tiles
from training.baselines.tiling import Tiling
from training.data.chance import Chances
from training.data.patches import Drawn, PatchSettings, PatchSource, check_patches
from training.data.store import Store
from training.loop import processes
from training.loop.loop import LoopSettings, Task

KINDS = 3
"""As it is, CutPaste, scar."""


@dataclass(frozen=True)
class CutPasteSettings(TrainedSettings):
    """Train CutPaste on a store."""

    patches: PatchSettings = field(
        default_factory=lambda: PatchSettings(size=(24, 36, 36), count=32)
    )
    """How crops are drawn; each is shown in all three kinds. The sides are also those of the
    window that an embedding is the mean of."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each level of the network, the finest first; the last has the embedding."""
    hidden: int = 128
    """Channels of the head's hidden layer."""
    share: tuple[float, float] = (0.02, 0.15)
    """Least and largest share of the crop that a pasted box covers."""
    aspect: float = 3.3
    """Largest ratio of two of its sides."""
    scar: tuple[int, int] = (2, 5)
    """Least and largest thickness of a scar, voxels; it is 3 to 6 times as long as thick."""
    jitter: float = 0.1
    """Change of brightness and contrast of what is pasted, at most."""
    tile: Shape = (48, 96, 96)
    """Voxels that a screening sees at a time, along D, H, W."""
    tiles: int | None = None
    """Tiles of each scan that the Gaussian is fitted on at most."""
    shrink: float = 1e-3
    """Share of the mean variance that is added to every variance."""
    smooth: float = 3.0
    """Standard deviation in mm of the Gaussian that scores are blurred with."""

    @property
    def stride(self) -> int:
        """Voxels for one embedding along each axis."""
        return 2 ** (len(self.channels) - 1)


class CutPaste(TiledScorer[Tiling]):
    """Scores by how unlikely the embedding around a voxel is.

    Arguments:
        settings: Sizes of the network.
        tiling: How it sees scans.
    """

    def __init__(self, settings: CutPasteSettings, tiling: Tiling) -> None:
        super().__init__()
        self.settings = tiling
        self.stride = settings.stride
        self.window = [max(1, round(side / self.stride)) for side in settings.patches.size]
        widths = (1, *settings.channels)
        self.network = nn.Sequential(
            *(
                convolutions(fine, coarse, 1 if level == 0 else 2)
                for level, (fine, coarse) in enumerate(pairwise(widths))
            )
        )
        self.head = nn.Sequential(
            nn.Linear(widths[-1], settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, KINDS)
        )
        self.gaussian = Gaussian(widths[-1])

    def kinds(self, x: Tensor) -> Tensor:
        """Logits of the kind of crops `(B, 1, D, H, W)`, `(B, 3)`."""
        return self.head(self.network(x).mean(dim=(2, 3, 4))).float()

    def embeddings(self, x: Tensor) -> Tensor:
        """The means of features over windows of a tile, float32, `(B, D', H', W', C)`.

        A window that sticks out of the tile is the mean of what is within.
        """
        features = self.network(x).float()
        for axis, side in enumerate(self.window):
            kernel = [side if axis == other else 1 for other in range(3)]
            low, high = (side - 1) // 2, side // 2
            rim = [0] * 6
            rim[2 * (2 - axis)], rim[2 * (2 - axis) + 1] = low, high
            total = F.avg_pool3d(F.pad(features, rim), kernel, 1)
            count = F.avg_pool3d(F.pad(torch.ones_like(features), rim), kernel, 1)
            features = total / count
        return features.movedim(1, -1)

    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """How unlikely the embeddings are, brought up to the pooled voxels."""
        nll = self.gaussian.nll(self.embeddings(x))[:, None]
        fine = F.interpolate(nll, list(where.shape[1:]), mode="trilinear")[:, 0]
        return torch.where(where, fine, torch.nan)


class ThreeWay(nn.Module):
    """The network with its loss.

    Arguments:
        rival: What is trained; its Gaussian is not.
    """

    def __init__(self, rival: CutPaste) -> None:
        super().__init__()
        self.network, self.head = rival.network, rival.head
        # Held without being a part of it: the Gaussian would be averaged and saved for nothing.
        self._kinds = [rival.kinds]

    def forward(self, crops: Tensor, kinds: Tensor) -> dict[str, Tensor]:
        """Tell the kind of crops `(B, 1, D, H, W)`, which are numbers `(B,)`."""
        logits = self._kinds[0](crops)
        right = (logits.detach().argmax(dim=1) == kinds).float().mean()
        return {"loss": F.cross_entropy(logits, kinds), "right": right}


def paste(image: Tensor, sides: tuple[int, ...], jitter: float, chances: Chances) -> Tensor:
    """Copy a box of a crop to another place, turned over and a little changed.

    Arguments:
        image: Values 0 to 1, `(1, D, H, W)`.
        sides: Voxels of the box.
        jitter: Change of brightness and contrast at most.
        chances: The sources of chance.
    """
    spans = [extent - side + 1 for extent, side in zip(image.shape[1:], sides, strict=True)]
    source, target = (
        tuple(
            slice(start, start + side)
            for start, side in zip([chances.whole(n) for n in spans], sides, strict=True)
        )
        for _ in "ab"
    )
    piece = image[:, *source].flip(chances.axes())
    contrast = 1 + chances.number(-jitter, jitter)
    piece = (piece - piece.mean()) * contrast + piece.mean() + chances.number(-jitter, jitter)
    changed = image.clone()
    changed[:, *target] = piece.clamp(0, 1)
    return changed


def box_sides(
    shape: tuple[int, ...], settings: CutPasteSettings, chances: Chances
) -> tuple[int, ...]:
    """Draw the sides of a box that covers a share of a crop."""
    share = chances.number(*settings.share)
    reach = math.log(settings.aspect) / 2
    ratios = np.exp([chances.number(-reach, reach) for _ in shape])
    ratios /= np.prod(ratios) ** (1 / 3)
    sides = np.array(shape) * share ** (1 / 3) * ratios
    return tuple(int(n) for n in np.clip(np.rint(sides), 1, shape))


def scar_sides(
    shape: tuple[int, ...], settings: CutPasteSettings, chances: Chances
) -> tuple[int, ...]:
    """Draw the sides of a long thin box along one of the axes."""
    low, high = settings.scar
    thick = low + chances.whole(high - low + 1)
    sides = [thick] * len(shape)
    sides[chances.whole(len(shape))] = round(thick * chances.number(3, 6))
    return tuple(min(side, extent) for side, extent in zip(sides, shape, strict=True))


def three_kinds(
    clean: Tensor, settings: CutPasteSettings, chances: Chances
) -> tuple[Tensor, Tensor]:
    """Each crop as it is, with a box and with a scar, `(3m, 1, D, H, W)`, and their kinds."""
    shape = tuple(clean.shape[2:])
    kinds = [clean]
    for draw in (box_sides, scar_sides):
        moved = [
            paste(image, draw(shape, settings, chances), settings.jitter, chances)
            for image in clean
        ]
        kinds.append(torch.stack(moved))
    numbers = torch.arange(KINDS, device=clean.device).repeat_interleave(len(clean))
    return torch.cat(kinds), numbers


def build(settings: CutPasteSettings, preprocess: PreprocessSettings) -> CutPaste:
    """Make an untrained network."""
    multiple: Shape = (settings.stride, settings.stride, settings.stride)
    return CutPaste(
        settings,
        Tiling(preprocess, settings.tile, preprocess.multiple, settings.smooth, multiple),
    )


def phases(settings: CutPasteSettings, rival: CutPaste, store: Store) -> Iterator[Phase]:
    """Train the network."""
    check_patches(settings.patches, (1,), settings.loop)
    source = PatchSource(store, settings.patches, settings.seed)

    def render(drawn: Drawn, device: torch.device) -> tuple[Tensor, ...]:
        clean = drawn.images(settings.patches.size, device)
        return three_kinds(clean, settings, drawn.chances(device))

    task = Task(ThreeWay(rival), source.load, render, source.need(render))
    yield Phase("three_way", task, settings.loop)


@torch.no_grad()
def settle(settings: CutPasteSettings, rival: CutPaste, store: Store) -> None:
    """Fit the Gaussian of embeddings in the body."""
    device = processes.device()
    moments, rng = Moments(len(rival.gaussian.mean)), np.random.default_rng(settings.seed)
    rival.to(device)
    for x, _, where in store_tiles(store, rival.settings, rng, settings.tiles):
        found = rival.embeddings(x.to(device))
        inside = F.interpolate(where[:, None].float(), list(found.shape[1:4]))[:, 0] > 0
        moments.add(found[inside.to(device)])
    rival.cpu().gaussian.fit(moments, settings.shrink)


PRESETS = {
    "tiny": CutPasteSettings(
        patches=PatchSettings(size=(16, 24, 24), count=6),
        channels=(8, 16, 32),
        tiles=8,
        loop=LoopSettings(steps=800, lr=2e-3, warmup=50, average=0.99, precision="32-true"),
    ),
    "small": CutPasteSettings(
        loop=LoopSettings(steps=20_000, lr=1e-3, warmup=500, workers=8),
    ),
    # Li et al. take SGD at .03 along a cosine, 64 images a step; the loop has AdamW.
    "paper": CutPasteSettings(
        patches=PatchSettings(size=(24, 36, 36), count=64),
        channels=(64, 128, 256, 512),
        loop=LoopSettings(steps=65_536, lr=1e-3, warmup=500, weight_decay=3e-5, workers=12),
    ),
}
METHOD = Method(
    "CutPaste, Li et al. 2021 in 3D: tells moved pieces, then a Gaussian of what it sees",
    CutPasteSettings,
    PRESETS,
    build,
    phases,
    settle,
)
