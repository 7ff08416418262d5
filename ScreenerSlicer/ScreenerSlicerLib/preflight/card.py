"""The card before a run: what the scan is, what it will take, and whether it can be screened.

It looks at a few voxels only, some millimetres apart, so that it is there while the volume is
being chosen. What so few cannot show (a single NaN, say) the run itself finds.
"""

from dataclasses import dataclass

import numpy as np

from ctscreener.ct_checks import check_scan
from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ScreenerSlicerLib.preflight.conditions import Conditions
from ScreenerSlicerLib.preflight.estimate import (
    GPU_MB,
    GUESS_SPREAD,
    duration,
    estimate,
    estimate_whole,
    memory_needed,
    timing_key,
)
from ScreenerSlicerLib.preflight.hardware import Device, Hardware
from ScreenerSlicerLib.preflight.models import ModelFolder, Tiling, Whole
from ScreenerSlicerLib.preflight.tile_count import (
    TISSUE_HU,
    count_tiles,
    sampled,
    tissue_points,
    within,
)
from ScreenerSlicerLib.translation import tr as _

FEW_TISSUE = 0.05
TILT_DEGREES = 1.0
GIGABYTE = 1e9
LITTLE_MORE = 1.0
"""Percent by which a box may be larger than its region without a word."""


@dataclass(frozen=True)
class Line:
    """One line of the card.

    Arguments:
        label: What it is about.
        value: What was found.
        warning: What may be wrong with it; empty where nothing is.
    """

    label: str
    value: str
    warning: str = ""


@dataclass(frozen=True)
class Card:
    """What is known before a run.

    Arguments:
        lines: What there is to read, in order.
        refusal: Why this cannot be screened, on one line; empty where it can.
        notice: What stays visible while it runs, such as that it runs on the processor.
        tiles: Tiles that the networks will see, about; 0 where not known.
        seconds: How long it will take, about; None where not known.
    """

    lines: tuple[Line, ...] = ()
    refusal: str = ""
    notice: str = ""
    tiles: int = 0
    seconds: float | None = None

    def text(self) -> str:
        """Return the card as plain text."""
        lines = [
            f"{line.label}: {line.value}" + (f" ({line.warning})" if line.warning else "")
            for line in self.lines
        ]
        return "\n".join([*([self.refusal] if self.refusal else []), *lines])


def examine(scan: Scan, conditions: Conditions) -> Card:
    """Look at a scan before it is screened; takes some milliseconds.

    Arguments:
        scan: The scan; its array may be a view of any real type.
        conditions: What it would be screened with.

    Returns:
        The card; with a refusal where the scan or the model cannot be used.
    """
    lines = [*_grid_lines(scan)]
    sample = sampled(scan)
    try:
        # The engine's own rules; the sample has the affine of the whole, whose spacing they check.
        check_scan(Scan(sample.hu, scan.affine))
    except InputError as error:
        return Card(tuple(lines), str(error))
    low, high = float(sample.hu.min()), float(sample.hu.max())
    share = float(np.mean(sample.hu > TISSUE_HU))
    few = _("hardly any tissue") if share < FEW_TISSUE else ""
    values = _("{low:.0f} to {high:.0f} HU, as in a CT").format(low=low, high=high)
    tissue = _("{percent:.0f} % of the voxels are tissue").format(percent=100 * share)
    lines += [Line(_("Values"), values), Line(_("Body"), tissue, few)]
    points = tissue_points(sample)
    if not len(points):
        none = _("Expected a CT of the chest or abdomen, found no tissue. Choose another volume.")
        return Card(tuple(lines), none)
    return _with_model(lines, scan, points, conditions)


def _with_model(lines: list[Line], scan: Scan, points: np.ndarray, conditions: Conditions) -> Card:
    """Add what depends on the model and the machine."""
    model, device = conditions.model, conditions.device
    if model is None:
        return Card(tuple(lines), _("Choose a model."))
    if model.tiling is None:
        unusable = _("The model {name} cannot be used: {problem}.")
        return Card(tuple(lines), unusable.format(name=model.name, problem=model.problem))
    if conditions.sizeless_region:
        none = _("The region has no size. Draw it, or choose the whole scan.")
        return Card(tuple(lines), none)
    count = _size(points, model, conditions)
    if not count:
        empty = _("The region holds no tissue. Move it, or screen the whole scan.")
        return Card(tuple(lines), empty)
    lines = [*lines, *_region_lines(conditions), *_earlier_lines(conditions)]
    if device is None:
        return Card((*lines, Line(_("Device"), _("looking for a GPU"))), tiles=count)
    if isinstance(model.tiling, Whole):
        known = (conditions.times_as_long or {}).get(timing_key(model, device))
        seconds, measured = estimate_whole(points, scan, model.tiling, device, conditions), False
        if known is not None:
            seconds, measured = known * seconds, True
    else:
        seconds, measured = estimate(count, scan, model, device, conditions)
    how = "" if measured else _("a guess until the first run on this device")
    lowest, most = duration(seconds), duration(GUESS_SPREAD * seconds)
    if model.one_speed:
        about = _("about {time}") if measured else _("{time} to {most}")
        about = about.format(time=lowest, most=most)
        how = "" if measured else _("a guess by the scan's size")
    else:
        about = _("about {time}, {count} tiles")
        about = about if measured else _("{time} to {most}, {count} tiles")
        about = about.format(time=lowest, most=most, count=count)
    lines += [
        Line(_("Device"), device.label, _little_gpu_memory(device, model)),
        _memory_line(scan, conditions.hardware),
        Line(_("Time"), about, how),
    ]
    return Card(tuple(lines), "", device.notice, count, seconds)


def _size(points: np.ndarray, model: ModelFolder, conditions: Conditions) -> int:
    """Tiles of the scan or the region; 1 for a model that sees it as a whole, 0 without tissue."""
    if isinstance(model.tiling, Tiling):
        return count_tiles(points, model.tiling, conditions.overlap, conditions.region)
    return int(len(within(points, conditions.region)) > 0)


def _region_lines(conditions: Conditions) -> list[Line]:
    """The box that is scored; a turned region is no box along the axes of the patient."""
    if conditions.region is None:
        return []
    low, high = np.array(conditions.region[::2]), np.array(conditions.region[1::2])
    sides = " x ".join(f"{side / 10:.1f}" for side in high - low)
    more = 100 * (conditions.region_growth - 1)
    turned = _(
        "the region is turned: the straight box around it is scored, {percent:.0f} % larger"
    ).format(percent=more)
    warning = turned if more > LITTLE_MORE else ""
    return [Line(_("Region"), _("a box of {sides} cm").format(sides=sides), warning)]


def _earlier_lines(conditions: Conditions) -> list[Line]:
    """What becomes of the maps that the scan has already."""
    if not conditions.earlier:
        return []
    names = ", ".join(conditions.earlier)
    kept, gone = _("{names}: stays beside the new one"), _("{names}: replaced, its reviews kept")
    text = kept if conditions.keep_earlier else gone
    return [Line(_("Earlier map"), text.format(names=names))]


def _grid_lines(scan: Scan) -> list[Line]:
    """Size, spacing and how the axes lie; the axes as Slicer counts them: I, J, K."""
    sizes, spacing = scan.shape[::-1], scan.spacing[::-1]
    axes = scan.affine[:3, [2, 1, 0]] / np.where(spacing > 0, spacing, 1)
    with np.errstate(invalid="ignore"):
        hand = _("right-handed") if np.linalg.det(axes) > 0 else _("left-handed")
    extent = " x ".join(f"{n * s / 10:.0f}" for n, s in zip(sizes, spacing, strict=True))
    size = _("{sizes} voxels, {extent} cm")
    return [
        Line(_("Size"), size.format(sizes=" x ".join(map(str, sizes)), extent=extent)),
        Line(_("Spacing"), f"{' x '.join(f'{s:.3g}' for s in spacing)} mm"),
        Line(_("Orientation"), f"{orientation(axes)}, {hand}"),
    ]


def orientation(axes: np.ndarray) -> str:
    """Name the directions of I, J and K, and how far they are from straight.

    Arguments:
        axes: Unit vectors in RAS, one a column, `(3, 3)`.

    Example:
        >>> orientation(np.diag([-1.0, -1.0, 1.0]))
        'LPS'
    """
    if not np.isfinite(axes).all():
        return _("not known")
    nearest = np.abs(axes).argmax(axis=0)
    names = [("LR", "PA", "IS")[row][int(axes[row, k] > 0)] for k, row in enumerate(nearest)]
    cosines = np.abs(axes).max(axis=0).clip(0, 1)
    tilt = float(np.degrees(np.arccos(cosines.min())))
    if tilt <= TILT_DEGREES:
        return "".join(names)
    tilted = _("{names}, tilted by {degrees:.0f} degrees")
    return tilted.format(names="".join(names), degrees=tilt)


def _memory_line(scan: Scan, hardware: Hardware | None) -> Line:
    needed = memory_needed(scan)
    free = hardware.free_mb if hardware else None
    if free is None:
        needs = _("needs about {needed:.1f} GB").format(needed=needed / GIGABYTE)
        return Line(_("Memory"), needs)
    have = free * 1024**2
    little = _("too little: close other programs and volumes") if have < needed else ""
    value = _("needs about {needed:.1f} GB of {have:.1f} GB free")
    filled = value.format(needed=needed / GIGABYTE, have=have / GIGABYTE)
    return Line(_("Memory"), filled, little)


def _little_gpu_memory(device: Device, model: ModelFolder) -> str:
    free = device.gpu.free_mb if device.gpu else None
    little = free is not None and free < GPU_MB
    if little and model.one_speed:
        return _("little free memory: it may go on with the processor")
    return _("little free memory: tiles may become smaller") if little else ""
