"""Training on pairs of crops: what the stages descriptor, condition and APE have in common."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ctscreener.networks import NetworkSettings
from training.data.crops import CropSettings
from training.data.parcel import Parcel
from training.data.pictures import crop_pictures
from training.data.store import Store
from training.data.views import check_precision, check_scans, crop_store, pairs_need
from training.loop.loop import FREE, LoopSettings, Task, Trained, seeded, train
from training.loop.settings import claim_run

Draw = Callable[[np.random.Generator, Store, CropSettings], Parcel]
Render = Callable[[Parcel, torch.device], tuple[torch.Tensor, ...]]


class PairStage(Protocol):
    """The settings that every such stage has."""

    @property
    def store(self) -> Path:
        """Folder that the stage `prepare` wrote."""
        ...

    @property
    def run(self) -> Path:
        """Run folder."""
        ...

    @property
    def exclude(self) -> tuple[str, ...]:
        """Names of scans to leave out."""
        ...

    @property
    def in_memory(self) -> bool:
        """Hold the whole store unpacked in memory."""
        ...

    @property
    def network(self) -> NetworkSettings:
        """Sizes of the network."""
        ...

    @property
    def crops(self) -> CropSettings:
        """How crops are drawn."""
        ...

    @property
    def loop(self) -> LoopSettings:
        """How long, how fast and on what to train."""
        ...


def train_on_pairs(
    stage: str, settings: PairStage, objective: Callable[[], nn.Module], draw: Draw, render: Render
) -> tuple[Trained, Store]:
    """Train a network on pairs of crops; `network.safetensors` in the run folder is the result.

    Arguments:
        stage: Its name.
        settings: Its settings.
        objective: Makes what is trained; its part `network` is kept.
        draw: Draws the views of one step from a source of chance, and packs them.
        render: Makes of them, on a device, what the objective takes.

    Returns:
        The averaged weights, and whether training is finished; and the store that it saw.

    Raises:
        InputError: The store, the run folder or the sizes do not fit.
    """
    check_precision(settings.network, settings.crops.size, settings.loop)
    store = crop_store(settings.store, settings.crops, settings.exclude, settings.in_memory)
    check_scans(store, settings.crops)
    claim_run(settings.run, settings, FREE, stage, store.provenance())
    with seeded(settings.loop.seed):
        trainee = objective()
    if settings.network.norm == "voxel":
        trainee.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]

    def views(index: int, crops: CropSettings) -> Parcel:
        return draw(np.random.default_rng([settings.loop.seed, index]), store, crops)

    need = pairs_need(settings.crops, views, render)
    load = partial(views, crops=settings.crops)
    task = Task(trainee, load, render, need, crop_pictures, kept="network")
    trained = train(task, settings.run, settings.loop, stage)
    trained.save(settings.run, "network")
    return trained, store
