"""Training an encoder on with Screener's own objective, or one from random weights.

Two crops of one scan show the same voxels, and the maps of each stage are to tell a voxel from all
others and not its views from each other (Goncharov et al., arXiv 2502.08321, section 3.1): the
paper's method and the public start can be compared and joined. BatchNorm was folded into the
convolutions, so that it is a frozen affine map that is trained on with them: what is trained and
what screens are the same network.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ctscreener.encoded import PLAIN
from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import from_json, read_json, to_json, write_json
from training.data.augment import JitterSettings
from training.data.crops import CropSettings
from training.data.parcel import Parcel
from training.data.pictures import crop_pictures
from training.data.store import Store
from training.data.views import (
    check_depths,
    check_scans,
    crop_store,
    draw_views,
    pairs_need,
    shown,
)
from training.dense_contrast import DenseContrast, draw_weights
from training.descriptor import ContrastSettings
from training.encoder import EncoderFolder, load_encoder, packed, write_encoder
from training.flags import FLAT
from training.loop import processes
from training.loop.loop import FREE, LoopSettings, Task, Trained, seeded, train
from training.loop.memory import Need
from training.loop.settings import claim_run

RANDOM = "random numbers"
"""Where weights come from that no one has trained."""


@dataclass(frozen=True)
class TuneSettings:
    """Train an encoder on scans of a plain store, without labels."""

    store: Path = Path("store_plain")
    """Folder that the stage `prepare --plain` wrote."""
    run: Path = Path("runs/encoder_tuned")
    """Run folder, and at the end an encoder for `discriminator`; a run that stopped goes on."""
    encoder: Path | None = None
    """Folder of the encoder that it goes on from; without one, weights are random at first."""
    sizes: EncoderSettings = field(default_factory=EncoderSettings)
    """Sizes of an encoder of random weights; one that it goes on from has its own."""
    frozen: int = 0
    """Stages, from the finest on, that stay as they are; the stem belongs to the first."""
    alone: int = 100
    """Steps in which heads alone learn: random ones would spoil what the encoder has learnt."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    in_memory: bool = False
    """Hold the whole store unpacked in memory."""
    crops: CropSettings = field(
        default_factory=lambda: CropSettings(size=(48, 96, 96), positions=2048)
    )
    """How crops are drawn."""
    jitter: JitterSettings = field(default_factory=JitterSettings)
    """How grey values are changed."""
    contrast: ContrastSettings = field(
        default_factory=lambda: ContrastSettings(objective="simclr", width=2048)
    )
    """How two views of a voxel are compared, by a head for each stage."""
    loop: Annotated[LoopSettings, FLAT] = field(
        default_factory=lambda: LoopSettings(steps=2000, lr=1e-4, warmup=200, average=0.99)
    )
    """How long, how fast and on what to train."""


@dataclass(frozen=True)
class Batches:
    """The batches of a training.

    Arguments:
        settings: All settings.
        store: The scans.
    """

    settings: TuneSettings
    store: Store

    def load(self, index: int) -> Parcel:
        """Draw the crops of one step."""
        alone = index // processes.count() < self.settings.alone
        return self._views(index, self.settings.crops, alone)

    def render(self, parcel: Parcel, device: torch.device) -> tuple[Tensor, ...]:
        """Cut crops on a device and change their grey values."""
        there = shown(parcel, self.settings.crops.size, device, PLAIN.window)
        images = there["images"].contiguous(memory_format=torch.channels_last_3d)
        return images, there["places"], there["alone"]

    def need(self) -> Need:
        """How the memory of a step grows: with its pairs."""
        return pairs_need(self.settings.crops, self._views, self.render)

    def _views(self, index: int, crops: CropSettings, alone: bool = False) -> Parcel:
        rng = np.random.default_rng([self.settings.loop.seed, index])
        views = draw_views(rng, self.store, crops, self.settings.jitter)
        return views.parcel(crops.size, alone=np.array(alone, np.float32))


def main(settings: TuneSettings) -> Trained:
    """Train an encoder; the run folder is one that the stage `discriminator` takes.

    Arguments:
        settings: All settings.

    Returns:
        The averaged weights, and whether training is finished.

    Raises:
        InputError: The store, the run folder, the encoder or the sizes do not fit.
    """
    store = crop_store(settings.store, settings.crops, settings.exclude, settings.in_memory)
    with seeded(settings.loop.seed):
        encoder, start = started(settings)
        check(settings, store, encoder.settings)
        objective = DenseContrast(encoder, settings.frozen, settings.contrast)
    claim_run(settings.run, settings, FREE, "encoder --tune", store.provenance())
    keep_start(settings.run, start)
    batches = Batches(settings, store)
    need = batches.need()
    task = Task(objective, batches.load, batches.render, need, crop_pictures, kept="encoder")
    trained = train(task, settings.run, settings.loop, "encoder")
    if processes.is_first():
        keep_encoder(settings, store, encoder.settings, start, trained)
    processes.wait()
    return trained


def check(settings: TuneSettings, store: Store, sizes: EncoderSettings) -> None:
    """Refuse what cannot be trained.

    Raises:
        InputError: The store is not in HU or has too few scans, no stage is left to train, or
            crops are too small.
    """
    if from_json(PreprocessSettings, store.preprocess) != PLAIN:
        raise InputError(
            "tune.store",
            f"Expected scans in HU as the encoder sees them in {store.folder}, found others.",
            "Run the stage `prepare` with --plain.",
        )
    if not 0 <= settings.frozen < len(sizes.widths):
        raise InputError(
            "tune.frozen",
            f"Expected fewer frozen stages than the {len(sizes.widths)} of the encoder, found "
            f"{settings.frozen}.",
            "Give a smaller --frozen.",
        )
    check_scans(store, settings.crops)
    size = settings.crops.size
    check_depths([-(-size[0] // stride[0]) for stride in sizes.strides], size, settings.loop)


def started(settings: TuneSettings) -> tuple[Encoder, EncoderFolder | None]:
    """The encoder as it is before the first step, and what it was made of; None where random."""
    if settings.encoder:
        return load_encoder(settings.encoder)
    encoder = Encoder(settings.sizes)
    draw_weights(encoder)
    return encoder, None


def keep_start(run: Path, start: EncoderFolder | None) -> None:
    """Note what a run began with, or refuse to go on from something else.

    Raises:
        InputError: `tune.other_start`.
    """
    if not processes.is_first():
        return
    path, new = run / "start.json", start.sha256 if start else RANDOM
    old = read_json(path)["sha256"] if path.exists() else new
    if old != new:
        raise InputError(
            "tune.other_start",
            f"{run} holds a run that began with the encoder {old[:12]}, not {new[:12]}.",
            "Use the same --encoder to go on with it, or another --run folder.",
        )
    write_json(path, {"sha256": new})


def keep_encoder(
    settings: TuneSettings,
    store: Store,
    sizes: EncoderSettings,
    start: EncoderFolder | None,
    trained: Trained,
) -> None:
    """Write the encoder, with all that was done to it.

    It is not the public file, so its hash is its own and no model can name it instead of holding it.
    """
    content = packed(trained.part("encoder"))
    result = {"step": trained.step, "finished": trained.finished, "seconds": trained.seconds}
    write_json(settings.run / "result.json", result | {"peak_bytes": trained.peak_bytes})
    before = (start and start.tuned) or {}
    scans = {scan["sha256"]: scan for scan in before.get("data", [])}
    scans |= {scan["sha256"]: scan for scan in store.provenance()["scans"]}
    tuned: dict[str, Any] = {
        "start": start and {"sha256": start.sha256, "source": start.source, "tuned": start.tuned},
        "settings": to_json(settings),
        "result": result,
        "data": list(scans.values()),
    }
    source = f"{start.source if start else RANDOM}, trained on by Screener"
    if start and start.tuned:
        source = start.source
    sha256 = hashlib.sha256(content).hexdigest()
    about = EncoderFolder(sizes, sha256, source, elsewhere=False, tuned=tuned)
    write_encoder(settings.run, content, about)
    print(f"encoder: wrote {len(sizes.widths)} tuned stages to {settings.run}")
