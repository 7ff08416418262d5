"""Anatomical positional embeddings (APE): a network that says where in the body a voxel lies.

Nobody tells it: the distances of its positions are made those of the patient in mm. As one network
has to do so for every scan, the same organ gets the same position in all of them. Source: Goncharov
et al., "Anatomical Positional Embeddings", arXiv 2409.10291. Other than there, distances are
measured in one unit for all scans rather than in deviations of the step, which would stretch a
short scan to the length of a long one, and only voxels of the body count.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from ctscreener.networks import NetworkSettings, UNet
from training.contrastive import train_on_pairs
from training.data.augment import JitterSettings
from training.data.crops import CropSettings, draw_scan
from training.data.masking import MaskSettings, draw_masks, hide
from training.data.parcel import Parcel
from training.data.store import Store
from training.data.views import Views, draw_views, shown
from training.flags import FLAT
from training.loop.loop import LoopSettings, Trained

AXES = 3


@dataclass(frozen=True)
class ApeSettings:
    """Train the network of anatomical positions on a store."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote."""
    run: Path = Path("runs/ape")
    """Run folder; a training that stopped goes on from here."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    in_memory: bool = False
    """Hold the whole store unpacked in memory."""
    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(
            channels=(96, 192, 384, 768), blocks=2, stem=(2, 4, 4), out=AXES, inputs=2
        )
    )
    """Sizes of the network; it has two inputs, the image and the mask, and three outputs."""
    crops: CropSettings = field(
        default_factory=lambda: CropSettings(size=(64, 128, 128), scale=(0.8, 2.5), positions=4096)
    )
    """How crops are drawn; all pairs of a step are of one scan."""
    jitter: JitterSettings = field(default_factory=JitterSettings)
    """How grey values are changed."""
    masks: MaskSettings = field(
        default_factory=lambda: MaskSettings(least=(16, 32, 32), largest=(16, 32, 32))
    )
    """How a crop is hidden in part."""
    unit_mm: float = 100.0
    """What distances are measured in, mm."""
    span_mm: tuple[float, float, float] = (1000.0, 500.0, 500.0)
    """What the range of positions covers along D, H, W at first, mm; it is learnt."""
    invariance: float = 1.0
    """Weight of the squared distance of the two views of one voxel."""
    loop: Annotated[LoopSettings, FLAT] = field(default_factory=LoopSettings)
    """How long, how fast and on what to train."""


class Positions(nn.Module):
    """A network whose positions are to have the distances of the voxels.

    Arguments:
        settings: Sizes of the network, unit and weights.
    """

    def __init__(self, settings: ApeSettings) -> None:
        super().__init__()
        self.invariance = settings.invariance
        self.network = UNet(settings.network)
        self.span = nn.Parameter(torch.tensor(settings.span_mm) / settings.unit_mm)

    def forward(self, images: Tensor, places: Tensor, world: Tensor) -> dict[str, Tensor]:
        """Compare distances.

        Arguments:
            images: First views, then second ones, with their masks, `(2m, 2, D, H, W)`.
            places: The same voxels in both, voxel coordinates, `(2m, n, 3)`.
            world: Where these voxels lie in the patient, in units, `(m, n, 3)`.

        Returns:
            `loss` and its parts `distances` and `invariance`.
        """
        logits = self.network.at(images, places)
        with torch.autocast(images.device.type, enabled=False):
            first, second = (logits.float().sigmoid() * self.span).flatten(0, 1).chunk(2)
            return distance_loss(first, second, world.flatten(0, 1), self.invariance)


def distance_loss(
    first: Tensor, second: Tensor, world: Tensor, weight: float
) -> dict[str, Tensor]:
    """Compare the distances of positions with those of the voxels, all with all.

    Arguments:
        first: Positions from the first view, `(N, 3)`.
        second: Positions of the same voxels from the second view, `(N, 3)`.
        world: Where the voxels lie, `(N, 3)`.
        weight: Weight of the invariance.

    Returns:
        `loss`, and its parts `distances` and `invariance`: mean squares in squared units.
    """
    invariance = (first - second).square().mean()
    found, true = torch.cdist(first, second), torch.cdist(world, world)
    distances = (found - true).square().mean()
    return {
        "loss": distances + weight * invariance,
        "distances": distances.detach(),
        "invariance": invariance.detach(),
    }


def main(settings: ApeSettings) -> Trained:
    """Train the network of positions; `network.safetensors` in the run folder is the result.

    Arguments:
        settings: All settings.

    Returns:
        The averaged weights, and whether training is finished.
    """

    def draw(rng: np.random.Generator, store: Store, crops: CropSettings) -> Parcel:
        views = draw_views(rng, store, crops, settings.jitter, draw_scan(rng, store))
        views.masks = draw_masks(rng, 2 * len(views.pairs), crops.size, settings.masks)
        return views.parcel(crops.size, world=world_of(views, store) / settings.unit_mm)

    def render(parcel: Parcel, device: torch.device) -> tuple[Tensor, ...]:
        there = shown(parcel, settings.crops.size, device)
        return hide(there["images"], there["masks"]), there["places"], there["world"]

    objective = partial(Positions, settings)
    return train_on_pairs("ape", settings, objective, draw, render)[0]


def world_of(views: Views, store: Store) -> np.ndarray:
    """Where the compared voxels of each pair lie along (D, H, W), mm, float32, `(m, n, 3)`."""
    return np.stack(
        [
            pair.voxels * np.linalg.norm(store.scans[pair.scan].affine[:3, :3], axis=0)
            for pair in views.pairs
        ]
    ).astype(np.float32)
