"""Two views of the same voxels: the batch of one step, and what it asks of store and device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ctscreener.errors import InputError
from ctscreener.networks import NetworkSettings
from training.data.augment import Jitter, JitterSettings, apply_factors, draw_jitter
from training.data.crops import CropSettings, Pair, draw_pair
from training.data.cutting import GREY, arrays_of, cut_arrays
from training.data.parcel import Parcel, pack
from training.data.store import FINE, Store
from training.loop.memory import Need
from training.loop.schedule import LoopSettings

Window = tuple[float, float]
LEAST_SCANS = 2
"""Fewer have no other scan whose voxels a voxel could differ from."""


@dataclass
class Views:
    """The batch of one step as the host loads it.

    Arguments:
        pairs: Pairs of crops.
        jitter: Changes of grey values, first views first.
        masks: 1 visible, 0 hidden, uint8, `(2m, 1, D, H, W)`; None where nothing is hidden.
    """

    pairs: list[Pair]
    jitter: Jitter
    masks: np.ndarray | None = None

    def parcel(self, size: tuple[int, int, int], **more: np.ndarray) -> Parcel:
        """Pack everything that a device needs.

        Arguments:
            size: Voxels of a crop.
            more: Other arrays of the step.
        """
        arrays = arrays_of(self.pairs, size) | {"factors": self.jitter.factors()} | more
        if self.masks is not None:
            arrays["masks"] = self.masks
        return pack(arrays, {"seed": self.jitter.seed})


def shown(
    parcel: Parcel, size: tuple[int, int, int], device: torch.device, window: Window = GREY
) -> dict[str, torch.Tensor]:
    """Cut the crops of a packed batch on a device and change their grey values.

    Arguments:
        parcel: From `Views.parcel`.
        size: Voxels of a crop.
        device: Where.
        window: What becomes 0 and 1.

    Returns:
        The arrays of the parcel, with `images`, `(2m, 1, D, H, W)`.
    """
    there = parcel.opened(device)
    images, _ = cut_arrays(there, size, window)
    return there | {"images": apply_factors(images, there["factors"], parcel.facts["seed"])}


def crop_store(
    folder: Path, crops: CropSettings, exclude: tuple[str, ...], in_memory: bool
) -> Store:
    """Open the copy of the scans that crops are cut from.

    Arguments:
        folder: The store.
        crops: Which copy.
        exclude: Names of scans to leave out.
        in_memory: Hold them unpacked in memory.

    Raises:
        InputError: The store has no such copy, or cannot be used.
    """
    if crops.grid == "screening":
        return Store(folder, exclude, in_memory)
    if not (folder / FINE / "manifest.json").exists() and (folder / "manifest.json").exists():
        raise InputError(
            "store.not_fine",
            f"Expected a finer copy of the scans in {folder / FINE}, found none.",
            "Run the stage `prepare` with --fine 1.5 1.0 1.0, or use --crops.grid screening.",
        )
    return Store(folder / FINE, exclude, in_memory)


def check_scans(store: Store, crops: CropSettings) -> None:
    """Refuse a store from which nothing can be learnt.

    Arguments:
        store: The scans.
        crops: How crops are drawn.

    Raises:
        InputError: Too few scans, or none that holds a crop.
    """
    if len(store.names) < LEAST_SCANS:
        raise InputError(
            "store.too_few",
            f"Expected {LEAST_SCANS} scans or more in {store.folder}, found {len(store.names)}.",
            "Run the stage `prepare` on more scans, or exclude fewer.",
        )
    least = np.ceil((np.asarray(crops.size) - 1) * crops.scale[0]).astype(int) + 1
    largest = max((scan.shape for scan in store.scans.values()), key=np.prod)
    if not any((np.asarray(scan.shape) >= least).all() for scan in store.scans.values()):
        raise InputError(
            "store.too_small",
            f"Expected a scan of at least {tuple(least.tolist())} prepared voxels in "
            f"{store.folder}, found {largest} at most.",
            "Prepare scans that cover more of the body, or use a smaller --crops.size.",
        )


def draw_views(
    rng: np.random.Generator,
    store: Store,
    crops: CropSettings,
    jitter: JitterSettings,
    name: str | None = None,
) -> Views:
    """Draw the batch of one step.

    Arguments:
        rng: The source of chance.
        store: Where the scans are.
        crops: How crops are drawn.
        jitter: How grey values are changed.
        name: The scan of all pairs, where they are not to be of scans drawn one by one.

    Returns:
        The batch, on the host.
    """
    pairs = [draw_pair(rng, store, crops, name) for _ in range(crops.pairs)]
    pixel_mm = [
        float(np.linalg.norm(store.scans[pair.scan].affine[:3, 2])) * pair.crops[view].scale
        for view in (0, 1)
        for pair in pairs
    ]
    return Views(pairs, draw_jitter(rng, np.asarray(pixel_mm), jitter))


def check_precision(
    network: NetworkSettings,
    size: tuple[int, int, int],
    loop: LoopSettings,
    flag: str = "--crops.size",
) -> None:
    """Refuse crops that do not fit the network, and what oneDNN computes wrongly.

    Arguments:
        network: Sizes of the network.
        size: Voxels of a crop.
        loop: Device and precision.
        flag: What asks for crops of that size.

    Raises:
        InputError: A crop cannot be halved as often as the network does, or, in bfloat16 on a
            processor, a level of the network is two voxels deep.
    """
    if any(side % step for side, step in zip(size, network.stride, strict=True)):
        raise InputError(
            "training.no_multiple",
            f"Expected a {flag} whose sides are multiples of {network.stride}, as the "
            f"network's levels need them, found {size}.",
            f"Use another {flag}, or fewer --network.channels.",
        )
    depths = [size[0] // (network.stem[0] * 2**level) for level in range(len(network.channels))]
    check_depths(depths, size, loop)


def check_depths(depths: Sequence[int], size: tuple[int, int, int], loop: LoopSettings) -> None:
    """Refuse what oneDNN computes wrongly.

    On a processor, as of torch 2.13, the gradient of the weights of a 3x3x3 convolution in
    bfloat16 reads memory that nobody wrote where the map is two voxels deep, and only there.

    Arguments:
        depths: Depth of the map of each level.
        size: Voxels of a crop.
        loop: Device and precision.

    Raises:
        InputError: In bfloat16 on a processor a level is two voxels deep.
    """
    if loop.precision == "32-true" or loop.device == "cuda":
        return
    if loop.device == "auto" and torch.cuda.is_available():
        return
    if 2 in depths:
        raise InputError(
            "training.two_deep",
            f"Expected no level of 2 voxels in depth, in bfloat16 on a processor; crops {size[0]} "
            f"deep have levels {depths} deep.",
            "Use --precision 32-true, deeper crops or fewer levels.",
        )


def pairs_need(
    crops: CropSettings,
    draw: Callable[[int, CropSettings], Parcel],
    render: Callable[[Parcel, torch.device], tuple[torch.Tensor, ...]],
) -> Need:
    """Say how the memory of a step grows: with its pairs of crops.

    Arguments:
        crops: How crops are drawn.
        draw: Draws the views of a step and packs them.
        render: Brings them to a device.
    """

    def fewer(units: int) -> CropSettings:
        share = units * max(1, crops.positions // crops.pairs)
        return replace(crops, pairs=units, positions=share)

    return Need(
        crops.pairs,
        lambda units, device: render(draw(0, fewer(units)), device),
        lambda units: f"--crops.pairs {units} --crops.positions {fewer(units).positions}",
    )
