"""What is tried, in order, where a graphics card has too little memory: it is always announced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ctscreener.scan import Shape
from ctscreener.scorer import Tiled

Notice = Callable[[str, str], None]
"""Called as `notice(code, message)` when something is not done as it was asked for."""


def unheard(code: str, message: str) -> None:
    """Tell nobody.

    Arguments:
        code: Stable name of the notice, such as `device.smaller_tiles`.
        message: One line for the user.
    """


@dataclass(frozen=True)
class Plan:
    """One way to run the networks.

    Arguments:
        device: Where.
        batch: Tiles at a time.
        tile: Voxels of a tile along (D, H, W).
        code: Stable name of the notice that announces it; empty for what was asked for.
        message: That notice.
    """

    device: torch.device
    batch: int
    tile: Shape
    code: str = ""
    message: str = ""


def plans(device: torch.device, batch: int, model: Tiled) -> Iterator[Plan]:
    """What was asked for, then what takes less memory: one tile at a time, smaller ones, the CPU.

    The map of smaller tiles differs a little, since the networks see less around each voxel.

    Arguments:
        device: The device that was asked for.
        batch: The tiles at a time that were asked for.
        model: The model whose tiles are made smaller.

    Yields:
        The plans; on a processor there is no other than the first.
    """
    yield Plan(device, batch, model.tile)
    if device.type == "cpu":
        return
    full = "The graphics card's memory is full"
    if batch > 1:
        yield Plan(device, 1, model.tile, "device.one_tile", f"{full}: going on tile by tile.")
    tile = model.tile
    while tile := halved(tile, model):
        size = "x".join(map(str, tile))
        text = f"{full}: going on with smaller tiles, {size} voxels. The map may differ slightly."
        yield Plan(device, 1, tile, "device.smaller_tiles", text)
    text = f"{full}: going on with the processor. This takes several times longer."
    yield Plan(torch.device("cpu"), 1, model.tile, "device.processor", text)


def halved(tile: Shape, model: Tiled) -> Shape | None:
    """Half of a tile along each axis, where the networks can still take it.

    Arguments:
        tile: Voxels along (D, H, W).
        model: The model that takes it.

    Returns:
        The smaller tile, None where its sides would be no multiples of pooling and networks.
    """
    depth, height, width = (side // 2 for side in tile)
    try:
        return model.with_tile((depth, height, width)).tile
    except ValueError:
        return None
