"""The descriptor: a network that says what a voxel looks like, whatever scan it is seen in."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from torch import nn

from ctscreener.networks import NetworkSettings, UNet
from training.contrastive import train_on_pairs
from training.data.augment import JitterSettings
from training.data.crops import CropSettings
from training.data.parcel import Parcel
from training.data.store import Store
from training.data.views import draw_views, shown
from training.flags import FLAT
from training.loop.loop import LoopSettings, Trained
from training.losses import Expander, Projector, VicregSettings, info_nce, vicreg


@dataclass(frozen=True)
class ContrastSettings:
    """How two views of a voxel are compared."""

    objective: Literal["vicreg", "simclr"] = "vicreg"
    """VICReg, or SimCLR's InfoNCE."""
    vicreg: VicregSettings = field(default_factory=VicregSettings)
    """Weights of VICReg."""
    width: int = 8192
    """Channels of the expander; SimCLR's projector has a quarter of them in its hidden layers."""
    projected: int = 128
    """Channels of the projector's output (SimCLR)."""
    temperature: float = 0.1
    """Temperature of SimCLR."""
    chunk: int = 2048
    """Rows of SimCLR's similarity matrix at a time: memory against time."""


@dataclass(frozen=True)
class DescriptorSettings:
    """Train the descriptor network on a store."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote."""
    run: Path = Path("runs/descriptor")
    """Run folder; a training that stopped goes on from here."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    in_memory: bool = False
    """Hold the whole store unpacked in memory."""
    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(channels=(16, 32, 64, 128, 256, 512), blocks=2)
    )
    """Sizes of the network."""
    crops: CropSettings = field(default_factory=CropSettings)
    """How crops are drawn."""
    jitter: JitterSettings = field(default_factory=JitterSettings)
    """How grey values are changed."""
    contrast: ContrastSettings = field(default_factory=ContrastSettings)
    """How two views of a voxel are compared."""
    loop: Annotated[LoopSettings, FLAT] = field(default_factory=LoopSettings)
    """How long, how fast and on what to train."""


class Contrast(nn.Module):
    """A network with a head and a loss that compares two views of the same voxels.

    Arguments:
        network: Sizes of the network.
        settings: Head and loss.
    """

    def __init__(self, network: NetworkSettings, settings: ContrastSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = UNet(network)
        self.head = new_head(network.out, settings)

    def forward(self, images: torch.Tensor, places: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compare two views.

        Arguments:
            images: First views, then second ones, `(2m, C, D, H, W)`.
            places: The same voxels in both, voxel coordinates, `(2m, n, 3)`.

        Returns:
            `loss`, its parts, and `spread`, the mean standard deviation of the descriptors.
        """
        described = self.network.at(images, places)
        metrics = compare(self.head(described), self.settings)
        spread = described.detach().float().flatten(0, 1).std(dim=0).mean()
        return metrics | {"spread": spread}


def new_head(channels: int, settings: ContrastSettings) -> Expander | Projector:
    """The head that an objective is taken on, for descriptors of so many channels."""
    if settings.objective == "vicreg":
        return Expander(channels, settings.width)
    return Projector(channels, settings.width // 4, settings.projected)


def compare(headed: torch.Tensor, settings: ContrastSettings) -> dict[str, torch.Tensor]:
    """Compare two views of the same voxels.

    Arguments:
        headed: What the head gives, `(2m, n, D)`, first views first.
        settings: Which objective.

    Returns:
        `loss` and its parts.
    """
    first, second = headed.flatten(0, 1).chunk(2)
    if settings.objective == "vicreg":
        return vicreg(first, second, settings.vicreg)
    return info_nce(first, second, settings.temperature, settings.chunk)


def main(settings: DescriptorSettings) -> Trained:
    """Train the descriptor; `network.safetensors` in the run folder is the result.

    Arguments:
        settings: All settings.

    Returns:
        The averaged weights, and whether training is finished.
    """

    def draw(rng: np.random.Generator, store: Store, crops: CropSettings) -> Parcel:
        return draw_views(rng, store, crops, settings.jitter).parcel(crops.size)

    def render(parcel: Parcel, device: torch.device) -> tuple[torch.Tensor, ...]:
        there = shown(parcel, settings.crops.size, device)
        return there["images"], there["places"]

    objective = partial(Contrast, settings.network, settings.contrast)
    return train_on_pairs("descriptor", settings, objective, draw, render)[0]
