"""The mean at place: how far the HU of a voxel are from the mean of other scans there."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.preprocess import PreprocessSettings
from ctscreener.resampling import resample
from ctscreener.scan import Scan, reoriented_to_canonical
from ctscreener.settings import from_json
from ctscreener.terminal import Terminal
from training.baselines.method import Method, RivalSettings, WholeScan
from training.baselines.trivial import body_of, clipped, masked
from training.data.sources import Source, find_sources, hash_source
from training.data.store import Store, StoredScan

CELLS = 48
"""Places along each side of the body's box."""


@dataclass(frozen=True)
class MeanAtPlaceSettings(RivalSettings):
    """Fit the mean HU at each place of the scans of a store, read again from their sources."""


class MeanAtPlace(WholeScan):
    """The mean HU of other scans at each place: scores are the distances from it.

    A place is a share of the body's box along each canonical axis, in `CELLS` steps.

    Arguments:
        hu: Mean HU of body voxels, float32, `(CELLS, CELLS, CELLS)`.
        scans: How many scans it is the mean of.
    """

    hu: torch.Tensor
    scans: torch.Tensor

    def __init__(self, hu: np.ndarray, scans: int) -> None:
        super().__init__()
        self.register_buffer("hu", torch.from_numpy(hu))
        self.register_buffer("scans", torch.tensor(scans))

    @classmethod
    def fit(cls, scans: Iterable[tuple[Scan, np.ndarray]]) -> Self:
        """Average scans, each of which counts at a place as far as its body fills it.

        Arguments:
            scans: Scans with their body masks, one at a time.

        Raises:
            InputError: `trivial.no_scans`.
        """
        total, weight, count = 0.0, np.zeros((CELLS,) * 3), 0
        for scan, body in scans:
            box = boxed(scan, body)
            total = total + cell_means(np.where(box.body, box.hu, 0))
            weight += cell_means(box.body.astype(np.float32))
            count += 1
        if not count:
            raise InputError(
                "trivial.no_scans",
                "Expected scans to average, found none.",
                "Name a folder of scans without lesions.",
            )
        # A place that no body reached is taken for average tissue.
        overall = np.sum(total) / weight.sum()
        mean = np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), overall)
        return cls(mean.astype(np.float32), count)

    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score by |HU - mean HU at that place|.

        Arguments:
            scan: The scan.
            body: Which voxels to score, bool, in the scan's shape.
        """
        box = boxed(scan, body)
        # Edges repeated, since half a cell lies beyond the outermost centres.
        affine = box.affine @ cell_affine(box.hu.shape)
        affine[:3, 3] -= affine[:3, :3].sum(axis=1)
        mean = resample(np.pad(self.hu.numpy(), 1, mode="edge"), affine, scan.affine, scan.shape)
        return masked(np.abs(clipped(scan) - mean), body)


@dataclass(frozen=True)
class Boxed:
    """A scan cut to the box around its body, on canonical axes.

    Arguments:
        hu: Clipped HU, float32, `(D, H, W)`.
        body: Body mask, bool, `(D, H, W)`.
        affine: Voxel index to RAS mm, `(4, 4)`.
    """

    hu: np.ndarray
    body: np.ndarray
    affine: np.ndarray


def boxed(scan: Scan, body: np.ndarray) -> Boxed:
    """Turn a scan to the canonical axes and cut it to the box around its body."""
    mask = reoriented_to_canonical(Scan(body, scan.affine)).hu
    turned = reoriented_to_canonical(scan)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    affine = turned.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return Boxed(clipped(turned)[box], mask[box], affine)


def cell_means(values: np.ndarray) -> np.ndarray:
    """Average a volume over `CELLS` equal parts of each side, `(CELLS, CELLS, CELLS)`.

    A voxel that lies in two cells counts in both, as far as it lies in them.

    Example:
        >>> round(float(cell_means(np.ones((5, 96, 50))).min()), 6)
        1.0
    """
    for axis in range(3):
        matrix = cell_matrix(values.shape[axis]).astype(values.dtype)
        values = np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)
    return values


def cell_matrix(extent: int) -> np.ndarray:
    """Share of each cell that each voxel of a side fills, `(CELLS, extent)`; rows sum to 1."""
    edges = np.arange(CELLS + 1)[:, None] * extent / CELLS
    voxels = np.arange(extent)
    overlap = np.minimum(edges[1:], voxels + 1) - np.maximum(edges[:-1], voxels)
    return np.clip(overlap, 0, None) * CELLS / extent


def cell_affine(shape: tuple[int, ...]) -> np.ndarray:
    """From the index of a cell to the index of a voxel in a box of this shape, `(4, 4)`."""
    size = np.array(shape) / CELLS
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = (size - 1) / 2
    return affine


def bodies(
    scans: Sequence[StoredScan], preprocess: PreprocessSettings
) -> Iterator[tuple[Scan, np.ndarray]]:
    """Read the sources of scans and find their bodies.

    Raises:
        InputError: `baseline.source` where a source is not what it was.
    """
    report = Terminal(sys.stdout, sys.stderr)
    for done, stored in enumerate(scans):
        report.progress("averaging", done, len(scans))
        source = source_of(stored)
        scan = source.read(read_scan)
        yield scan, body_of(scan, preprocess)
    report.progress("averaging", len(scans), len(scans))


def source_of(stored: StoredScan) -> Source:
    """Find what a stored scan was prepared from; a folder may hold several series.

    Raises:
        InputError: `baseline.source`.
    """
    path = Path(stored.source)
    for source in _candidates(stored, path) if path.exists() else []:
        if hash_source(source.path, source.series) == stored.sha256:
            return source
    raise InputError(
        "baseline.source",
        f"Expected the scan {stored.name} as it was prepared in {path}, found "
        f"{'another one' if path.exists() else 'none'}.",
        "Put it back, run the stage `prepare` again, or leave it out by --exclude.",
    )


def _candidates(stored: StoredScan, path: Path) -> list[Source]:
    """What may be the source of a stored scan: of a data set, what its reader says of it."""
    if not stored.given:
        return find_sources([path])
    return [
        source
        for source in _set_of(stored.given)
        # Several scans of a set may be read from one folder; names were made longer, if at all.
        if source.path == path and source.name in stored.name
    ]


@lru_cache(maxsize=2)
def _set_of(given: str) -> list[Source]:
    """The scans of a data set, listed once."""
    return find_sources([Path(given)])


def build(settings: MeanAtPlaceSettings, preprocess: PreprocessSettings) -> MeanAtPlace:
    """Make a mean of nothing."""
    return MeanAtPlace(np.zeros((CELLS,) * 3, np.float32), 0)


def settle(settings: MeanAtPlaceSettings, rival: MeanAtPlace, store: Store) -> None:
    """Average the scans."""
    preprocess = from_json(PreprocessSettings, store.preprocess)
    rival.load_state_dict(
        MeanAtPlace.fit(bodies(list(store.scans.values()), preprocess)).state_dict()
    )


METHOD = Method(
    "distance of the HU from their mean over other scans at that place of the body",
    MeanAtPlaceSettings,
    {},
    build,
    settle=settle,
)
