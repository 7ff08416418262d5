"""Rows of features with and without synthetic anomalies: what a discriminator is trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ctscreener.encoder import Encoder
from ctscreener.heads import Maps, Source, averaged
from ctscreener.shifts import encode, on_finest
from training.phantoms.lesion_site import LABELS
from training.synthetic.corruption import Corrupted, CorruptionSettings, corrupt
from training.synthetic.tissue import Tissue

ROWS_VERSION = 3
"""A change of how rows are drawn needs a new number."""
FILLED = 0.45
"""Share of what surrounds a voxel of the finest map that an anomaly fills, for a row of it."""
FAINT = 0.15
"""The same where no voxel is filled so far: anomalies smaller than a voxel."""
AROUND = (3, 5, 5)
"""Voxels of the scan that surround one of the finest map."""
FAMILIES = [family for family in LABELS if family != "other"]
"""Kinds that the stage `insert` makes."""
FAR = (5, 9, 9)
"""No voxel of this box is touched where a row shows the scan as it was."""


@dataclass(frozen=True)
class RowSettings:
    """Which voxels become rows."""

    draws: int = 4
    """How often each scan is corrupted anew."""
    an_anomaly: int = 150
    """Rows of one anomaly at most."""
    untouched: int = 2000
    """Rows of a corrupted scan far from all anomalies."""
    pairs: float = 0.5
    """Share of the anomalies' rows beside which stands one of the same place without it."""
    corruption: CorruptionSettings = field(default_factory=CorruptionSettings)
    """Which anomalies."""


@dataclass(frozen=True)
class Rows:
    """Features of some voxels.

    Arguments:
        features: Of each source by its name, float16, `(n, C)`.
        anomalous: 1 for voxels of an anomaly, 0 for others, int8, `(n,)`.
        kind: Kind of the anomaly, `""` for none, `(n,)`.
        number: Number of the anomaly in its scan from 1 on, 0 for none, int16, `(n,)`.
    """

    features: Mapping[str, np.ndarray]
    anomalous: np.ndarray
    kind: np.ndarray
    number: np.ndarray

    def weights(self, evenness: float, others: float = 1.0) -> np.ndarray:
        """How much each row counts, float32, `(n,)`: an anomaly's the less the more there are.

        Arguments:
            evenness: 0 counts all rows alike, 1 gives each anomaly the same sum.
            others: How much rows of anomalies count that are of no family of `insert`.
        """
        count = np.bincount(self.number)[self.number]
        kind = np.where(np.isin(self.kind, FAMILIES), 1.0, others)
        return np.where(self.number > 0, kind * count**-evenness, 1).astype(np.float32)


def sample(maps: Maps, at: np.ndarray) -> dict[Source, np.ndarray]:
    """Read maps at voxels of the finest grid, as heads see them there.

    Arguments:
        maps: Maps of one scan, `(1, C, d, h, w)` each.
        at: Voxels of the finest grid, `(n, 3)`.

    Returns:
        Features, float16, `(n, C)`, of each source.
    """
    found = {}
    for source, z in maps.items():
        wide = averaged(z, source.cube)[0].permute(1, 2, 3, 0)
        found[source] = interpolated(wide, at / (1 << source.level)).half().cpu().numpy()
    return found


def interpolated(values: Tensor, at: np.ndarray) -> Tensor:
    """Interpolate linearly between voxels; beyond the last its value goes on.

    Arguments:
        values: `(D, H, W, C)`.
        at: Positions in voxels, `(n, 3)`.

    Returns:
        `(n, C)`, float32.
    """
    # On the device of the map, where all voxels of the features lie.
    device = values.device
    last = torch.tensor(values.shape[:3], device=device) - 1
    position = torch.from_numpy(np.asarray(at, np.float32)).to(device)
    position = torch.minimum(position, last.float())
    low = position.floor().long()
    share = position - low
    high = torch.minimum(low + 1, last)
    total = torch.zeros(len(at), values.shape[3], device=device)
    for corner in np.ndindex(2, 2, 2):
        weight = torch.ones(len(at), device=device)
        index = []
        for axis, upper in enumerate(corner):
            weight = weight * (share[:, axis] if upper else 1 - share[:, axis])
            index.append((high if upper else low)[:, axis])
        if weight.any():
            total += values[index[0], index[1], index[2]].float() * weight[:, None]
    return total


Read = Callable[[np.ndarray], Maps]
"""Gives the maps of a scan's HU."""


class Clean:
    """A scan as it is, and what the encoder makes of it: both made when first asked for, and kept.

    Arguments:
        encoder: In evaluation mode.
        sources: Which maps are read.
        read: Gives the scan.
        window: HU that become 0 and 1.
    """

    def __init__(
        self,
        encoder: Encoder,
        sources: Sequence[Source],
        read: Callable[[], Tissue],
        window: tuple[float, float],
    ) -> None:
        self._encoder, self._sources, self._read, self._window = encoder, sources, read, window

    @cached_property
    def tissue(self) -> Tissue:
        """The scan, ready to receive anomalies."""
        return self._read()

    @cached_property
    def maps(self) -> Maps:
        """The maps of the scan without anomalies."""
        return self.describe(self.tissue.hu)

    def describe(self, hu: np.ndarray) -> Maps:
        """The maps of other HU, read in the same way."""
        return describe(self._encoder, self._sources, hu, self._window)


def draw_rows(
    clean: Clean, donors: Sequence[Tissue], settings: RowSettings, rng: np.random.Generator
) -> Rows:
    """Corrupt a scan and read features of it.

    Arguments:
        clean: The scan.
        donors: Scans that foreign patches come from.
        settings: Which voxels.
        rng: Draws everything.
    """
    tissue = clean.tissue
    corrupted = corrupt(tissue, donors, settings.corruption, rng)
    return rows_of_corrupted(clean, corrupted, settings, rng)


def rows_of_corrupted(
    clean: Clean, corrupted: Corrupted, settings: RowSettings, rng: np.random.Generator
) -> Rows:
    """Read features of a scan that was corrupted elsewhere; see `draw_rows`."""
    body = clean.tissue.body
    return rows_of(corrupted, body, settings, clean.describe, lambda: clean.maps, rng)


def rows_of(
    corrupted: Corrupted,
    body: np.ndarray,
    settings: RowSettings,
    read: Read,
    clean: Callable[[], Maps] | None,
    rng: np.random.Generator,
) -> Rows:
    """Read features of a scan with anomalies: in them, far from them, and at their place without.

    Arguments:
        corrupted: The scan with its anomalies.
        body: Voxels of the body, bool, `(D, H, W)`.
        settings: Which voxels.
        read: Gives the maps of the scan.
        clean: Gives the maps of the scan without anomalies; None where there is no such scan.
        rng: Chooses voxels.
    """
    inside, number = anomalous_voxels(corrupted, body, settings.an_anomaly, rng)
    free = np.argwhere(on_finest(body) & ~touched(corrupted))
    free = free[rng.permutation(len(free))[: settings.untouched]]
    paired = inside[rng.random(len(inside)) < settings.pairs]
    parts = [sample(read(corrupted.hu), np.concatenate([inside, free]))]
    if clean and len(paired):
        parts.append(sample(clean(), paired))
    names = np.array([corrupted.kinds[n - 1] for n in number], "<U16")
    rest = sum(len(next(iter(part.values()))) for part in parts) - len(inside)
    return Rows(
        {s.name: np.concatenate([part[s] for part in parts]) for s in parts[0]},
        np.concatenate([np.ones(len(inside), np.int8), np.zeros(rest, np.int8)]),
        np.concatenate([names, np.full(rest, "", "<U16")]),
        np.concatenate([number, np.zeros(rest, int)]).astype(np.int16),
    )


def describe(
    encoder: Encoder, sources: Sequence[Source], hu: np.ndarray, window: tuple[float, float]
) -> Maps:
    """The maps of a scan, on the encoder's device, in bfloat16."""
    x = seen_of(encoder, hu, window)
    with torch.autocast(x.device.type, torch.bfloat16):
        return encode(encoder, x, sources, lambda done, total: None)


def seen_of(encoder: Encoder, hu: np.ndarray, window: tuple[float, float]) -> Tensor:
    """What the encoder sees of a scan, on its device, 0..1, `(1, 1, D, H, W)`."""
    low, high = window
    x = torch.from_numpy(np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1))[None, None]
    return x.to(next(encoder.parameters()).device)


def touched(corrupted: Corrupted) -> np.ndarray:
    """Voxels of the finest map that an anomaly has changed, or has come near to, bool."""
    return on_finest(ndimage.maximum_filter(corrupted.touched, FAR))


def anomalous_voxels(
    corrupted: Corrupted, body: np.ndarray, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Voxels of the finest map that anomalies fill.

    Arguments:
        corrupted: The scan.
        body: Voxels of the body, bool.
        most: Voxels of one anomaly at most.
        rng: Chooses among more.

    Returns:
        Voxels `(n, 3)` and the number of the anomaly of each, `(n,)`.
    """
    share = (corrupted.label > 0).astype(np.float32)
    for axis, size in enumerate(AROUND):
        share = ndimage.uniform_filter1d(share, size, axis, mode="nearest")
    filled = on_finest(share)
    number = on_finest(ndimage.maximum_filter(corrupted.label, AROUND)) * on_finest(body)
    places, numbers = [np.zeros((0, 3), int)], [np.zeros(0, int)]
    for one in range(1, len(corrupted.kinds) + 1):
        here = np.argwhere((number == one) & (filled > FILLED))
        if not len(here):
            here = np.argwhere((number == one) & (filled > FAINT))
        here = here[rng.permutation(len(here))[:most]]
        places.append(here)
        numbers.append(np.full(len(here), one))
    return np.concatenate(places), np.concatenate(numbers)
