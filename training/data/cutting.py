"""Cutting crops on a device, by numbers that the loader has worked out on the host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from training.data.crops import Crop, Pair
from training.data.parcel import pack

GREY = (0.0, 255.0)
"""Values of a store that become 0 and 1, where it is not one in HU."""


@dataclass(frozen=True)
class Weave:
    """Which voxels of boxes the voxels of crops lie between, along one axis after the other.

    Every row is a crop; its columns are the crop's voxels along D, then H, then W.

    Arguments:
        lower: Voxel of the box below, int64, `(m, D + H + W)`.
        upper: Voxel above, int64.
        share: How much of the upper one counts, float32.
    """

    lower: np.ndarray
    upper: np.ndarray
    share: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The three by name."""
        return {"lower": self.lower, "upper": self.upper, "share": self.share}


def weave(cuts: Sequence[tuple[Crop, np.ndarray, Sequence[int]]], size: Sequence[int]) -> Weave:
    """Work out on the host where crops lie in boxes of their scans.

    Arguments:
        cuts: Each crop, the scan voxel of its box's first voxel, and the box's shape.
        size: Voxels of every crop.
    """
    rows = []
    for crop, origin, shape in cuts:
        axes = []
        for axis in range(3):
            last = shape[axis] - 1
            where = crop.start[axis] - int(origin[axis]) + np.arange(size[axis]) * crop.scale
            where = np.clip(where, 0, last)
            below = np.floor(where).astype(np.int64)
            axes.append((below, np.minimum(below + 1, last), (where - below).astype(np.float32)))
        rows.append([np.concatenate(part) for part in zip(*axes, strict=True)])
    return Weave(*(np.stack(part) for part in zip(*rows, strict=True)))


def cut_row(
    image: torch.Tensor,
    woven: Mapping[str, torch.Tensor],
    row: int,
    size: Sequence[int],
    window: tuple[float, float] = GREY,
) -> torch.Tensor:
    """Cut a crop out of a box of its scan: linear along each axis, edges repeated outside.

    At scale 1 values are those of the box.

    Arguments:
        image: Grey values or HU of the box, `(d, h, w)`.
        woven: The arrays of a `Weave`, on the image's device.
        row: Which of its crops.
        size: Voxels of the crop.
        window: What becomes 0 and 1; values beyond it end there.

    Returns:
        Values 0 to 1, float32, `size`.
    """
    values = image.float()
    start = 0
    for axis, extent in enumerate(size):
        part = slice(start, start + extent)
        lower, upper, share = (woven[name][row, part] for name in ("lower", "upper", "share"))
        share = share.reshape([-1 if other == axis else 1 for other in range(3)])
        low, high = values.index_select(axis, lower), values.index_select(axis, upper)
        values = low + (high - low) * share
        start += extent
    least, largest = window
    return ((values - least) / (largest - least)).clamp_(0, 1)


def cut(
    image: torch.Tensor,
    origin: np.ndarray,
    crop: Crop,
    size: Sequence[int],
    window: tuple[float, float] = GREY,
) -> torch.Tensor:
    """Cut one crop out of a box whose first voxel is the scan's `origin`; see `cut_row`."""
    woven = pack(weave([(crop, origin, image.shape)], size).arrays()).opened(image.device)
    return cut_row(image, woven, 0, size, window)


def arrays_of(pairs: Sequence[Pair], size: Sequence[int]) -> dict[str, np.ndarray]:
    """What a device needs to cut the crops of some pairs, for a `Parcel`; see `cut_arrays`."""
    cuts = [(p.crops[view], p.origin, p.image.shape) for view in (0, 1) for p in pairs]
    places = [p.crops[view].place(p.voxels) for view in (0, 1) for p in pairs]
    images = {f"image{number}": pair.image for number, pair in enumerate(pairs)}
    return {**images, **weave(cuts, size).arrays(), "places": np.stack(places)}


def cut_arrays(
    there: Mapping[str, torch.Tensor],
    size: Sequence[int],
    window: tuple[float, float] = GREY,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut the crops of pairs whose arrays are on a device.

    Arguments:
        there: From `arrays_of`, of `m` pairs.
        size: Voxels of a crop.
        window: What becomes 0 and 1.

    Returns:
        Crops, first the first ones of all pairs, then the second ones, values 0 to 1, float32,
        `(2m, 1, D, H, W)`; and the places of the common voxels in them, float32 voxel
        coordinates, `(2m, n, 3)`.
    """
    count = len(there["lower"])
    crops = [
        cut_row(there[f"image{row % (count // 2)}"], there, row, size, window)
        for row in range(count)
    ]
    return torch.stack(crops)[:, None], there["places"]


def cut_pairs(
    pairs: Sequence[Pair],
    size: tuple[int, int, int],
    device: torch.device,
    window: tuple[float, float] = GREY,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut the crops of some pairs on a device; see `cut_arrays`."""
    return cut_arrays(pack(arrays_of(pairs, size)).opened(device), size, window)
