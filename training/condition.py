"""The condition: a network that says what to expect at a voxel, with or without seeing it."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from ctscreener.networks import NetworkSettings, UNet
from ctscreener.settings import write_json
from training.contrastive import train_on_pairs
from training.data.augment import JitterSettings
from training.data.crops import CropSettings
from training.data.cutting import cut_pairs
from training.data.masking import MaskSettings, draw_masks, hide
from training.data.parcel import Parcel
from training.data.store import Store
from training.data.views import draw_views, shown
from training.descriptor import Contrast, ContrastSettings
from training.flags import FLAT
from training.loop import processes
from training.loop.loop import LoopSettings, Trained

LEAK_BATCHES = 8
"""Batches that the leak is measured on."""


@dataclass(frozen=True)
class ConditionStageSettings:
    """Train the mask-invariant condition network on a store."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote."""
    run: Path = Path("runs/condition")
    """Run folder; a training that stopped goes on from here."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    in_memory: bool = False
    """Hold the whole store unpacked in memory."""
    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(
            channels=(16, 32, 64, 128, 256, 512), blocks=2, inputs=2
        )
    )
    """Sizes of the network; it has two inputs, the image and the mask."""
    crops: CropSettings = field(default_factory=lambda: CropSettings(scale=(0.8, 2.0)))
    """How crops are drawn."""
    jitter: JitterSettings = field(default_factory=JitterSettings)
    """How grey values are changed."""
    masks: MaskSettings = field(default_factory=MaskSettings)
    """How a crop is hidden in part."""
    contrast: ContrastSettings = field(default_factory=ContrastSettings)
    """How two views of a voxel are compared."""
    loop: Annotated[LoopSettings, FLAT] = field(default_factory=LoopSettings)
    """How long, how fast and on what to train."""


def main(settings: ConditionStageSettings) -> Trained:
    """Train the condition; `network.safetensors` in the run folder is the result.

    `leak.json` tells how much of the condition at a hidden voxel depends on what was hidden.

    Arguments:
        settings: All settings.

    Returns:
        The averaged weights, and whether training is finished.
    """

    def draw(rng: np.random.Generator, store: Store, crops: CropSettings) -> Parcel:
        views = draw_views(rng, store, crops, settings.jitter)
        views.masks = draw_masks(rng, 2 * len(views.pairs), crops.size, settings.masks)
        return views.parcel(crops.size)

    def render(parcel: Parcel, device: torch.device) -> tuple[torch.Tensor, ...]:
        there = shown(parcel, settings.crops.size, device)
        return hide(there["images"], there["masks"]), there["places"]

    objective = partial(Contrast, settings.network, settings.contrast)
    trained, store = train_on_pairs("condition", settings, objective, draw, render)
    if processes.is_first():
        network = UNet(settings.network).to(processes.device())
        network.load_state_dict(trained.part("network"))
        write_json(settings.run / "leak.json", measure_leak(network, store, settings))
    processes.wait()
    return trained


@torch.no_grad()
def measure_leak(
    network: UNet, store: Store, settings: ConditionStageSettings, inputs: int = 2
) -> dict[str, float]:
    """Measure how much a condition changes when its surroundings, or it, are hidden.

    A change is the squared difference of the conditions with nothing and with blocks hidden, over
    twice the variance of the condition with nothing hidden: 0 where masking changes nothing, 1
    where the condition after masking has nothing to do with that before.

    Arguments:
        network: The condition network.
        store: Where the scans are.
        settings: How crops and masks are drawn.
        inputs: 2 where the network sees the mask; 1 for a descriptor, which sees zeros instead.

    Returns:
        The change at `hidden` and at `visible` voxels.
    """
    device = next(network.parameters()).device
    network.eval()
    always = MaskSettings(1.0, settings.masks.ratio, settings.masks.least, settings.masks.largest)
    before, after, seen = [], [], []
    for index in range(LEAK_BATCHES):
        # The third number keeps these draws apart from those of training.
        rng = np.random.default_rng([settings.loop.seed, index, 1])
        views = draw_views(rng, store, settings.crops, settings.jitter)
        images, places = cut_pairs(views.pairs, settings.crops.size, device)
        drawn = draw_masks(rng, len(images), settings.crops.size, always)
        masks = torch.from_numpy(drawn).to(device)
        for found, left in ((before, torch.ones_like(masks)), (after, masks)):
            found.append(network.at(hide(images, left)[:, :inputs], places).flatten(0, 1))
        d, h, w = places.round().long().flatten(0, 1).T
        batch = torch.arange(len(images), device=device).repeat_interleave(places.shape[1])
        seen.append(masks[batch, 0, d, h, w].bool())
    first, second, visible = torch.cat(before), torch.cat(after), torch.cat(seen)
    change = (first - second).square().mean(dim=1) / (2 * first.var(dim=0).mean())
    return {
        "hidden": change[~visible].mean().item(),
        "visible": change[visible].mean().item(),
    }
