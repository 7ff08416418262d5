"""Pairs of overlapping crops: drawn on the host, cut and resized on the device."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ctscreener.errors import InputError
from ctscreener.scan import Box
from training.data.store import Store

TRIES = 20
"""Pairs drawn until one shares enough body; then voxels are repeated."""


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn."""

    size: tuple[int, int, int] = (64, 96, 96)
    """Voxels of a crop along D, H, W."""
    scale: tuple[float, float] = (0.8, 1.25)
    """Least and largest voxel of a crop, in voxels of the prepared grid."""
    spread: Literal["logarithmic", "uniform"] = "logarithmic"
    """How scales are drawn between the two: evenly in their logarithm, or in themselves."""
    grid: Literal["screening", "fine"] = "screening"
    """Which copy of the scans crops are cut from: as a screening sees them, or the finer one."""
    pairs: int = 8
    """Pairs of crops in one step, each from its own draw of a scan."""
    positions: int = 8192
    """Voxels compared in one step, over all pairs together."""


@dataclass(frozen=True)
class Crop:
    """Where a crop lies: its voxel `i` has its centre on the scan's voxel `start + i * scale`.

    Arguments:
        start: Scan voxel of the crop's first voxel along `(D, H, W)`; may lie outside the scan.
        scale: Size of the crop's voxel in voxels of the scan.
    """

    start: tuple[int, int, int]
    scale: float

    def place(self, voxels: np.ndarray) -> np.ndarray:
        """Give voxels of the scan in the crop's own, continuous voxel coordinates.

        Arguments:
            voxels: Voxels of the scan, `(n, 3)`.

        Returns:
            Coordinates `(d, h, w)` in the crop, float32, `(n, 3)`.
        """
        return ((voxels - np.asarray(self.start)) / self.scale).astype(np.float32)

    def span(self, size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Give the first and the last coordinate in the scan, float64, `(3,)` each."""
        first = np.asarray(self.start, dtype=np.float64)
        return first, first + (np.asarray(size) - 1) * self.scale


@dataclass(frozen=True)
class Pair:
    """Two crops of one scan that share voxels.

    Arguments:
        scan: Name of the scan.
        crops: Where the two crops lie.
        voxels: Voxels of the scan that both crops hold and that lie in the body, `(n, 3)`.
        origin: Scan voxel of `image[0, 0, 0]`, `(3,)`.
        image: The smallest box around both crops, as stored: grey values, uint8, or HU, int16,
            `(d, h, w)`.
    """

    scan: str
    crops: tuple[Crop, Crop]
    voxels: np.ndarray
    origin: np.ndarray
    image: np.ndarray


def draw_pair(
    rng: np.random.Generator, store: Store, settings: CropSettings, name: str | None = None
) -> Pair:
    """Draw a scan, two crops of it with one common body voxel, and voxels that both hold.

    Arguments:
        rng: The source of chance.
        store: Where the scans are.
        settings: How crops are drawn.
        name: The scan, where it is not to be drawn.

    Returns:
        The pair, read from the store with one reading of the image.
    """
    wanted = max(1, settings.positions // settings.pairs)
    name = name or draw_scan(rng, store)
    first = second = Crop((0, 0, 0), 1.0)
    low, inside = np.zeros(3, int), np.empty((0, 0, 0), bool)
    for _ in range(TRIES):
        centre = draw_body_voxel(rng, store, name)
        first, second = (sample_crop(rng, centre, store.scans[name].shape, settings) for _ in "ab")
        low, inside = _shared_body(store, name, first, second, settings.size)
        if np.count_nonzero(inside) >= wanted:
            break
    # Numbers first, places of the chosen ones alone after: a box holds tens of millions.
    numbers = np.flatnonzero(inside)
    chosen = rng.choice(len(numbers), wanted, replace=len(numbers) < wanted, shuffle=False)
    voxels = np.stack(np.unravel_index(numbers[chosen], inside.shape), axis=1) + low
    box, origin = covering_box((first, second), store.scans[name].shape, settings.size)
    return Pair(name, (first, second), voxels, origin, store.image(name, box))


def draw_scan(rng: np.random.Generator, store: Store) -> str:
    """Draw the name of a scan; all are alike."""
    return store.names[rng.integers(len(store.names))]


def draw_body_voxel(rng: np.random.Generator, store: Store, name: str) -> np.ndarray:
    """Draw a voxel of a scan, uniform over its body.

    Arguments:
        rng: The source of chance.
        store: Where the scan is.
        name: The scan.

    Returns:
        The voxel, int64, `(3,)`.

    Raises:
        InputError: The scan has next to no body.
    """
    for _ in range(10_000):
        voxel = rng.integers(store.scans[name].shape)
        if store.body(name, _box(voxel, voxel + 1)).item():
            return voxel
    raise InputError(
        "store.no_body",
        f"Expected body voxels in the prepared scan {name}, found next to none.",
        f"Leave it out with --exclude {name}.",
    )


def sample_crop(
    rng: np.random.Generator,
    voxel: np.ndarray,
    shape: tuple[int, int, int],
    settings: CropSettings,
) -> Crop:
    """Draw a crop that holds a voxel and, where it fits, lies inside the scan.

    Arguments:
        rng: The source of chance.
        voxel: What the crop must hold, `(3,)`.
        shape: Voxels of the scan.
        settings: How crops are drawn.

    Returns:
        The crop.
    """
    if settings.spread == "uniform":
        scale = float(rng.uniform(*settings.scale))
    else:
        least, largest = np.log(settings.scale)
        scale = float(np.exp(rng.uniform(least, largest)))
    reach = np.floor((np.asarray(settings.size) - 1) * scale).astype(int)
    slack = np.asarray(shape) - 1 - reach
    low = np.maximum(voxel - reach, np.minimum(0, slack))
    high = np.minimum(voxel, np.maximum(0, slack))
    depth, height, width = (int(start) for start in rng.integers(low, high, endpoint=True))
    return Crop((depth, height, width), scale)


def covering_box(
    crops: tuple[Crop, ...], shape: tuple[int, int, int], size: tuple[int, int, int]
) -> tuple[Box, np.ndarray]:
    """Find the smallest box of a scan that holds every voxel that some crops look at.

    Arguments:
        crops: The crops.
        shape: Voxels of the scan.
        size: Voxels of a crop.

    Returns:
        The box, and its first voxel, `(3,)`.
    """
    spans = [crop.span(size) for crop in crops]
    last = np.asarray(shape) - 1
    low = np.clip(np.min([first for first, _ in spans], axis=0), 0, last).astype(int)
    high = np.clip(np.ceil(np.max([end for _, end in spans], axis=0)), 0, last).astype(int)
    return _box(low, high + 1), low


def _shared_body(
    store: Store, name: str, first: Crop, second: Crop, size: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Give the box that two crops share: its first voxel, `(3,)`, and where body is, bool.

    Some is, as one body voxel is common to both.
    """
    (low_a, high_a), (low_b, high_b) = first.span(size), second.span(size)
    last = np.asarray(store.scans[name].shape) - 1
    low = np.maximum(np.maximum(low_a, low_b), 0).astype(int)
    # The largest float below a whole number must not lose that voxel.
    high = np.minimum(np.floor(np.minimum(high_a, high_b) + 1e-9), last).astype(int)
    return low, store.body(name, _box(low, high + 1))


def _box(low: np.ndarray, high: np.ndarray) -> Box:
    """Give the box of voxels from `low` to before `high`."""
    depth, height, width = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return depth, height, width
