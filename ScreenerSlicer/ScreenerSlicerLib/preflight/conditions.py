"""What a run will be made with, before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass

from ScreenerSlicerLib.preflight.hardware import Device, Hardware
from ScreenerSlicerLib.preflight.models import ModelFolder
from ScreenerSlicerLib.preflight.tile_count import Bounds


@dataclass(frozen=True)
class Conditions:
    """What a run will be made with.

    Arguments:
        model: The model; None while none is chosen.
        device: Where it will run; None before the probe has ended.
        hardware: What the machine offers; None before the probe has ended.
        overlap: Share of a tile that the next one covers again.
        region: The only part to score, R, A, S in mm; None for all.
        seconds_a_tile: What tiles took in earlier runs, by `timing_key`.
        times_as_long: How many times as long as guessed runs of whole-volume models took, likewise.
        sizeless_region: Whether a region is chosen that has no size.
        region_growth: Volume of the box of `region` over that of the region that was drawn.
        earlier: Names of the maps that the scan has already.
        keep_earlier: Whether they stay beside the new one.
    """

    model: ModelFolder | None = None
    device: Device | None = None
    hardware: Hardware | None = None
    overlap: float = 0.5
    region: Bounds | None = None
    seconds_a_tile: Mapping[str, float] | None = None
    times_as_long: Mapping[str, float] | None = None
    region_growth: float = 1.0
    sizeless_region: bool = False
    earlier: tuple[str, ...] = ()
    keep_earlier: bool = False
