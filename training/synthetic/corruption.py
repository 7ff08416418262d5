"""A scan with synthetic anomalies, and where they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ctscreener.scan import Box
from training.synthetic.kinds import IN_LUNG, KINDS, Kind, Site
from training.synthetic.shapes import box_shape, draw_shape
from training.synthetic.tissue import Tissue

SEEN_HU = 12.0
"""A voxel counts as changed where its mean with its neighbours moved further than this."""
SEEN_SHARE = 0.4
"""Share of an anomaly's voxels that are changed at least; what no one could see is none."""
TRIES = 6
"""Places tried for an anomaly, before it is given up."""


@dataclass(frozen=True)
class CorruptionSettings:
    """How many anomalies a scan receives, and how large they are."""

    a_litre: float = 2.0
    """Anomalies for each litre of body."""
    fewest: int = 10
    """Anomalies of the smallest scan."""
    most: int = 45
    """Anomalies of the largest scan."""
    radius_mm: tuple[float, float] = (2.2, 40.0)
    """Smallest and largest radius in mm; drawn evenly on a logarithmic scale."""
    in_lung: float = 0.5
    """Share of them that are put into lungs, where there are any."""
    nodules_a_litre: float = 10.0
    """Small anomalies beside them for each litre of lung: one has few voxels, so many are needed."""
    nodule_mm: tuple[float, float] = (1.8, 6.0)
    """Smallest and largest radius of these."""
    in_viscera: float = 0.0
    """Share of them that are put among organs; the rest goes anywhere in the body."""
    without: tuple[str, ...] = ()
    """Kinds that are left out."""

    def __post_init__(self) -> None:
        """Raise ValueError where kinds are not known, or none is left."""
        out = set(self.without)
        unknown = sorted(out - {*KINDS, *IN_LUNG})
        if unknown or out >= set(KINDS) or out >= set(IN_LUNG):
            raise ValueError(
                f"Expected some of the kinds {', '.join(sorted({*KINDS, *IN_LUNG}))}, found "
                f"{', '.join(unknown) or 'that none is left'}."
            )


@dataclass(frozen=True)
class Corrupted:
    """A scan with synthetic anomalies.

    Arguments:
        hu: HU, float32, `(D, H, W)`.
        label: Number of the anomaly that a voxel belongs to, from 1 on; 0 for none, int16.
        touched: Voxels that belong to an anomaly or differ from the scan, bool, `(D, H, W)`.
        kinds: Kind of each anomaly, in the order of their numbers.
    """

    hu: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    touched: np.ndarray = field(repr=False)
    kinds: tuple[str, ...]


def corrupt(
    tissue: Tissue,
    donors: Sequence[Tissue],
    settings: CorruptionSettings,
    rng: np.random.Generator,
) -> Corrupted:
    """Put anomalies into a scan.

    Arguments:
        tissue: The scan.
        donors: Scans that foreign patches come from.
        settings: How many, how large.
        rng: Draws everything.
    """
    hu = tissue.hu.copy()
    label = np.zeros(hu.shape, np.int16)
    touched = np.zeros(hu.shape, bool)
    kinds: list[str] = []
    places = [np.flatnonzero(part) for part in (tissue.lung, tissue.viscera, tissue.body)]
    for radius, wish in planned(tissue, settings, rng):
        where = places[wish] if len(places[wish]) else places[-1]
        for _ in range(TRIES):
            middle = np.array(np.unravel_index(int(rng.choice(where)), hu.shape))
            kind = _one(tissue, donors, settings, hu, label, touched, middle, radius, rng)
            if kind:
                kinds.append(kind)
                label[label < 0] = len(kinds)
                break
    return Corrupted(hu, label, touched, tuple(kinds))


def planned(
    tissue: Tissue, settings: CorruptionSettings, rng: np.random.Generator
) -> list[tuple[float, int]]:
    """Radii in mm of the anomalies to put into a scan, each with where it goes.

    Large ones come first, while there is room: how a network reads large lesions hangs on how many
    of them it has seen, and among small ones few would find a place.

    Arguments:
        tissue: The scan.
        settings: How many, how large.
        rng: Draws them.

    Returns:
        Radius, and 0 for lungs, 1 for organs, 2 for anywhere in the body; the largest first.
    """
    body, lung = (
        float(part.sum() * np.prod(tissue.spacing)) / 1e6 for part in (tissue.body, tissue.lung)
    )
    count = int(np.clip(settings.a_litre * body, settings.fewest, settings.most))
    nodules = int(settings.nodules_a_litre * lung)
    low, high = np.log([settings.radius_mm, settings.nodule_mm]).T
    which = np.repeat([0, 1], [count, nodules])
    radii = np.exp(rng.uniform(low[which], high[which]))
    borders = np.cumsum([settings.in_lung, settings.in_viscera])
    wishes = np.searchsorted(borders, rng.random(len(which)), side="right")
    wishes[which == 1] = 0
    order = np.argsort(-radii, kind="stable")
    return [(float(radii[i]), int(wishes[i])) for i in order]


def _one(
    tissue: Tissue,
    donors: Sequence[Tissue],
    settings: CorruptionSettings,
    hu: np.ndarray,
    label: np.ndarray,
    touched: np.ndarray,
    middle: np.ndarray,
    radius: float,
    rng: np.random.Generator,
) -> str | None:
    """Add one anomaly, marked by -1 in `label`, and name its kind; None where it would not do."""
    size = box_shape(radius, tissue.spacing)
    box, part = _overlap(middle, size, hu.shape)
    shape = draw_shape(radius, tissue.spacing, rng)
    if (touched[box] & (shape.share[part] > 0)).any():
        return None
    aired = bool(tissue.lung[tuple(middle)])
    name, kind = _draw_kind(IN_LUNG if aired else KINDS, settings.without, rng)
    share = shape.share.copy()
    # Only the body changes: what lies outside would be air on air, or a couch.
    inside = np.zeros(size, bool)
    inside[part] = tissue.body[box]
    share[~inside] = 0
    if name == "opacity":
        lung = np.zeros(size, bool)
        lung[part] = hu[box] < -300
        share[~lung] = 0
    shape = type(shape)(share, shape.depth)
    before = _cut(hu, middle, size)
    site = Site(before, shape, radius, aired, tissue, _donor(donors, size, aired, rng))
    after = kind(site, rng)
    marked = (share > 0.5) if name != "swelling" else (shape.depth > 0) & inside
    if not _seen(after, before, marked, name):
        return None
    changed = (after != before) & inside
    # Masses push what lies around them, too.
    if (touched[box] & changed[part]).any():
        return None
    hu[box] = np.where(changed[part], after[part], hu[box])
    label[box][marked[part]] = -1
    # What an anomaly happens to leave as it was belongs to it all the same.
    touched[box] |= (changed | marked)[part]
    return name


def _draw_kind(
    kinds: Mapping[str, tuple[Kind, float]], without: tuple[str, ...], rng: np.random.Generator
) -> tuple[str, Kind]:
    names = [name for name in kinds if name not in without]
    odds = np.array([kinds[name][1] for name in names])
    name = names[int(rng.choice(len(names), p=odds / odds.sum()))]
    return name, kinds[name][0]


def _overlap(middle: np.ndarray, size: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Box, Box]:
    """Part of a scan that a box around a voxel covers, and the same part of the box."""
    whole, inner = [], []
    for at, n, extent in zip(middle, size, shape, strict=True):
        start, stop = int(at) - n // 2, int(at) - n // 2 + n
        low, high = max(start, 0), min(stop, extent)
        whole.append(slice(low, high))
        inner.append(slice(low - start, high - start))
    return (whole[0], whole[1], whole[2]), (inner[0], inner[1], inner[2])


def _cut(hu: np.ndarray, middle: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A box around a voxel; beyond the scan its border goes on."""
    index = [
        np.clip(int(at) - n // 2 + np.arange(n), 0, extent - 1)
        for at, n, extent in zip(middle, size, hu.shape, strict=True)
    ]
    return hu[np.ix_(*index)]


def _donor(
    donors: Sequence[Tissue], size: tuple[int, ...], aired: bool, rng: np.random.Generator
) -> np.ndarray:
    """A box of some scan around a place in its body, mirrored at random."""
    other = donors[int(rng.integers(len(donors)))]
    places = np.flatnonzero(other.soft if aired and other.soft.any() else other.body)
    middle = np.array(np.unravel_index(int(rng.choice(places)), other.hu.shape))
    patch = _cut(other.hu, middle, size)
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    return patch[flips]


def _seen(after: np.ndarray, before: np.ndarray, marked: np.ndarray, name: str) -> bool:
    """Whether an anomaly is large enough, and different enough from what was there."""
    if marked.sum() < 4:
        return False
    if name == "smeared":
        # Its means stay, its structure goes: compared voxel by voxel.
        return float((np.abs(after - before)[marked] > 2 * SEEN_HU).mean()) > SEEN_SHARE / 2
    change = ndimage.uniform_filter(after - before, 3, mode="nearest")
    return float((np.abs(change[marked]) > SEEN_HU).mean()) > SEEN_SHARE
