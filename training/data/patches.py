"""Single crops: the batch of one step of a rival, drawn on the host, cut on the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ctscreener.conditions import tile_positions
from ctscreener.errors import InputError
from ctscreener.networks import NetworkSettings
from ctscreener.scan import Shape
from training.data.chance import Chances, chances_of
from training.data.crops import (
    Crop,
    CropSettings,
    covering_box,
    draw_body_voxel,
    draw_scan,
    sample_crop,
)
from training.data.cutting import cut_row, weave
from training.data.parcel import Parcel, pack
from training.data.store import Store
from training.data.views import check_precision
from training.loop.memory import Need
from training.loop.schedule import LoopSettings


@dataclass(frozen=True)
class PatchSettings:
    """How single crops are drawn."""

    size: Shape = (64, 96, 96)
    """Voxels of a crop along D, H, W."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Least and largest voxel of a crop, in voxels of the prepared grid."""
    count: int = 4
    """Crops in one step, each from its own draw of a scan."""


@dataclass(frozen=True)
class Patch:
    """One crop, as the host loads it.

    Arguments:
        scan: Name of the scan.
        crop: Where it lies.
        origin: Scan voxel of `image[0, 0, 0]`, `(3,)`.
        image: Grey values of the smallest box around the crop, uint8, `(d, h, w)`.
        body: Body of that box, bool, `(d, h, w)`.
        shape: Voxels of the scan.
    """

    scan: str
    crop: Crop
    origin: np.ndarray
    image: np.ndarray
    body: np.ndarray
    shape: Shape


@dataclass(frozen=True)
class Drawn:
    """The batch of one step on the host, packed for a device.

    Arguments:
        index: Its number.
        patches: The crops.
        seed: Decides what is drawn on the device.
        parcel: What a device needs to cut them.
        beside: What else a device needs.
    """

    index: int
    patches: list[Patch]
    seed: int
    parcel: Parcel
    beside: Parcel | None = None
    _there: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict)

    def images(self, size: Shape, device: torch.device) -> Tensor:
        """Cut the crops: values 0 to 1, float32, `(m, 1, D, H, W)`."""
        return self._cut("image", 1, size, device)

    def bodies(self, size: Shape, device: torch.device) -> Tensor:
        """Cut the masks: True inside of the body, bool, `(m, 1, D, H, W)`."""
        return self._cut("body", 255.0, size, device) >= 0.5

    def positions(self, size: Shape, device: torch.device) -> Tensor:
        """Share of the body's box of every voxel, as a screening has it, `(m, 3, D, H, W)`."""
        places = [
            tile_positions(p.crop.start, size, p.shape, (1, 1, 1), device) for p in self.patches
        ]
        return torch.stack(places)

    def chances(self, device: torch.device) -> Chances:
        """Sources of chance for a device, the same at every call."""
        return chances_of(self.seed, device)

    def _cut(self, part: str, factor: float, size: Shape, device: torch.device) -> Tensor:
        # Whatever is asked of a batch, it goes to the device once.
        there = self._there.setdefault(device, {}) or self.parcel.opened(device)
        self._there[device] = there
        crops = [
            cut_row(factor * there[f"{part}{row}"], there, row, size)
            for row in range(len(self.patches))
        ]
        return torch.stack(crops)[:, None]


def packed(patches: Sequence[Patch], size: Shape) -> Parcel:
    """Pack crops for a device."""
    woven = weave([(p.crop, p.origin, p.image.shape) for p in patches], size)
    images = {f"image{row}": patch.image for row, patch in enumerate(patches)}
    bodies = {f"body{row}": patch.body for row, patch in enumerate(patches)}
    return pack({**images, **bodies, **woven.arrays()})


Render = Callable[[Drawn, torch.device], tuple[Tensor, ...]]


@dataclass(frozen=True)
class PatchSource:
    """Draws the batches of a training.

    Arguments:
        store: Where the scans are.
        settings: How crops are drawn.
        seed: Decides every draw.
        beside: Draws what else a step needs on the host, from the batch's seed and number of crops.
    """

    store: Store
    settings: PatchSettings
    seed: int
    beside: Callable[[int, int], Parcel] | None = None

    def load(self, index: int) -> Drawn:
        """Draw the batch of an index."""
        return self._some(index, self.settings.count)

    def need(self, render: Render) -> Need:
        """How the memory of a step grows: with its crops."""
        return Need(
            self.settings.count,
            lambda units, device: render(self._some(0, units), device),
            lambda units: f"--patches.count {units}",
        )

    def _some(self, index: int, count: int) -> Drawn:
        rng = np.random.default_rng([self.seed, index])
        patches = [draw_patch(rng, self.store, self.settings) for _ in range(count)]
        seed = int(rng.integers(2**62))
        beside = self.beside(seed, count) if self.beside else None
        return Drawn(index, patches, seed, packed(patches, self.settings.size), beside)


def draw_patch(rng: np.random.Generator, store: Store, settings: PatchSettings) -> Patch:
    """Draw a scan and a crop of it that holds some body.

    Arguments:
        rng: The source of chance.
        store: Where the scans are.
        settings: How crops are drawn.
    """
    name = draw_scan(rng, store)
    shape = store.scans[name].shape
    crops = CropSettings(size=settings.size, scale=settings.scale)
    crop = sample_crop(rng, draw_body_voxel(rng, store, name), shape, crops)
    box, origin = covering_box((crop,), shape, settings.size)
    image, body = store.read(name, box)
    return Patch(name, crop, origin, image, body, shape)


def check_patches(settings: PatchSettings, channels: tuple[int, ...], loop: LoopSettings) -> None:
    """Refuse crops that a network of so many levels cannot halve, or that are computed wrongly.

    Arguments:
        settings: The crops.
        channels: Of each level of the network, the first at full resolution.
        loop: Device and precision.

    Raises:
        InputError: `training.no_multiple`, `training.two_deep` or `training.patches`.
    """
    if settings.count < 1 or min(settings.scale) <= 0:
        raise InputError(
            "training.patches",
            f"Expected crops, and a scale above 0, found {settings.count} and {settings.scale}.",
            "Correct --patches.count or --patches.scale.",
        )
    check_precision(NetworkSettings(channels=channels), settings.size, loop, "--patches.size")
