"""Rows of every scan of a store, drawn once and kept."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ctscreener.encoded import PLAIN
from ctscreener.encoder import Encoder
from ctscreener.heads import Source
from training.data.drawing import Budget, DrawSettings
from training.data.inserted_scans import InsertedScan, find_inserted, read_inserted
from training.data.kept_rows import are_kept, kept_rows
from training.data.rows import (
    ROWS_VERSION,
    Clean,
    Read,
    Rows,
    RowSettings,
    draw_rows,
    rows_of,
    rows_of_corrupted,
)
from training.data.store import Store
from training.synthetic.corruption import Corrupted, corrupt
from training.synthetic.tissue import Tissue, read_tissue
from training.workers import pool


def tissue_of(store: Store, name: str) -> Tissue:
    """A stored scan, ready to receive anomalies."""
    prepared = store.prepared(name)
    return read_tissue(prepared.image, prepared.body, np.array(PLAIN.spacing))


def donors_of(
    settings: DrawSettings, names: Sequence[str], folds: Mapping[str, int]
) -> dict[int, list[str]]:
    """Names of the scans that foreign patches come from, for the scans of each fold.

    They are of the same fold: networks that a patient is left out of see no patch of it either,
    pasted into the scan of another.

    Arguments:
        settings: How many.
        names: The scans.
        folds: Which fold each scan is in.

    Example:
        >>> donors_of(DrawSettings(donors=2), ["a", "b"], {"a": 0, "b": 1})
        {0: ['a'], 1: ['b']}
    """
    shuffled = np.random.default_rng(settings.seed).permutation(list(names))
    share = max(1, settings.donors // len(set(folds.values())))
    return {
        fold: sorted([str(name) for name in shuffled if folds[name] == fold][:share])
        for fold in sorted(set(folds.values()))
    }


def all_rows(
    settings: DrawSettings,
    folder: Path,
    store: Store,
    encoder: Encoder,
    sha256: str,
    sources: Sequence[Source],
    folds: Mapping[str, int],
    names: Sequence[str] | None = None,
    budget: Budget | None = None,
) -> Iterator[tuple[str, list[Rows]]]:
    """Rows of every scan, drawn or read.

    Arguments:
        settings: Which rows.
        folder: Where they are kept.
        store: The scans.
        encoder: What is read of them.
        sha256: Hash of its weights.
        sources: Which of its maps.
        folds: Which fold each scan is in.
        names: The scans to draw rows of; all of the store where none are given.
        budget: How long it may take; where none is given, what the settings say, from now on. Rows
            that are kept are read however late it is.

    Yields:
        The name of a scan and its rows, one for each time that it was corrupted.
    """
    names = store.names if names is None else names
    donors_in = donors_of(settings, store.names, folds)
    tissues = {name: tissue_of(store, name) for own in donors_in.values() for name in own}
    inserted = find_inserted(settings.inserted)
    budget = Budget(settings.max_minutes) if budget is None else budget
    keys = keys_of(settings, store, sha256, folds, names)
    there = {one for one, key in keys.items() if are_kept(file_of(folder, *one), key)}
    missing = [
        Job(store.folder, name, store.scans[name].sha256, tuple(donors_in[folds[name]]), draw)
        for name, draw in keys
        if (name, draw) not in there
    ]
    ahead = corrupted_ahead(missing, settings)
    made_elsewhere = {(job.name, job.draw) for job in missing if settings.workers > 1}
    for number, name in enumerate(names):
        own = store.scans[name].sha256
        # One scan at a time: the one before, and its maps, are let go of here.
        clean = Clean(encoder, sources, partial(tissue_of, store, name), PLAIN.window)
        donors = [tissues[other] for other in donors_in[folds[name]]]
        found = []
        for draw in range(settings.rows.draws):
            late = budget.is_up((number + 1) / len(names))
            if draw and late and (name, draw) not in there:
                continue
            rng = np.random.default_rng([settings.seed, draw, _number(own)])
            drawn = partial(draw_rows, clean, donors, settings.rows, rng)
            if (name, draw) in made_elsewhere:
                corrupted, rng = asked_for(ahead, name, draw)
                drawn = partial(rows_of_corrupted, clean, corrupted, settings.rows, rng)
            path = file_of(folder, name, draw)
            found.append(kept_rows(path, keys[name, draw], sources, drawn))
        for other in (some for some in inserted if some.host == own):
            key = {**_base(settings, sha256), "scan": own, "inserted": other.name}
            drawn = partial(rows_of_inserted, other, settings.rows, clean.describe)
            rows = kept_rows(folder / f"{other.name}.npz", key, sources, drawn)
            found.append(thinned(rows, settings.beside_inserted))
        print(f"discriminator: rows of {number + 1} of {len(names)} scans", flush=True)
        yield name, found


def keys_of(
    settings: DrawSettings,
    store: Store,
    sha256: str,
    folds: Mapping[str, int],
    names: Sequence[str],
) -> dict[tuple[str, int], dict[str, object]]:
    """What the rows of each draw of each scan depend on, ready for JSON, in their order.

    Arguments:
        settings: Which rows.
        store: The scans.
        sha256: Hash of the encoder's weights.
        folds: Which fold each scan is in.
        names: The scans.
    """
    donors_in = donors_of(settings, store.names, folds)
    return {
        (name, draw): {
            **_base(settings, sha256),
            "scan": store.scans[name].sha256,
            "donors": [store.scans[other].sha256 for other in donors_in[folds[name]]],
            "seed": [settings.seed, draw],
        }
        for name in names
        for draw in range(settings.rows.draws)
    }


def count_kept(folder: Path, keys: Mapping[tuple[str, int], dict[str, object]]) -> int:
    """How many draws a folder holds the rows of."""
    return sum(are_kept(file_of(folder, *one), key) for one, key in keys.items())


def file_of(folder: Path, name: str, draw: int) -> Path:
    """Where the rows of a draw are kept."""
    return folder / f"{name}-{draw}.npz"


def _base(settings: DrawSettings, sha256: str) -> dict[str, object]:
    """What all rows depend on."""
    return {
        "version": ROWS_VERSION,
        "rows": replace(settings.rows, draws=0),
        "encoder": sha256,
    }


@dataclass(frozen=True)
class Job:
    """A scan to be corrupted in another process.

    Arguments:
        store: Folder of the store.
        name: The scan.
        sha256: Hash of its source.
        donors: Scans that foreign patches come from.
        draw: Which of its draws.
    """

    store: Path
    name: str
    sha256: str
    donors: tuple[str, ...]
    draw: int


Ahead = tuple[Corrupted, np.random.Generator]
"""A corrupted scan, and the source of chance as it was after."""


def asked_for(ahead: Iterator[tuple[Job, Future[Ahead]]], name: str, draw: int) -> Ahead:
    """Wait for one corrupted scan, and let go of those before it, which are not asked for."""
    for job, future in ahead:
        if (job.name, job.draw) == (name, draw):
            return future.result()
        future.cancel()
    raise ValueError(f"draw {draw} of {name} is not among the jobs, or was taken before")


def corrupted_ahead(
    jobs: Sequence[Job], settings: DrawSettings
) -> Iterator[tuple[Job, Future[Ahead]]]:
    """Corrupt scans in several processes, a few ahead of the one that is asked for.

    Arguments:
        jobs: What to do, in the order in which it is asked for.
        settings: How.

    Yields:
        Each job, and what it is going to give: the same as in this process.
    """
    waiting: deque[tuple[Job, Future[Ahead]]] = deque()
    with pool(settings.workers, 1) as processes:
        try:
            for job in jobs:
                waiting.append((job, processes.submit(corrupt_one, job, settings)))
                if len(waiting) > 2 * settings.workers:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            # Where the time was up, the last ones are not asked for.
            for _, future in waiting:
                future.cancel()


def corrupt_one(job: Job, settings: DrawSettings) -> Ahead:
    """Corrupt one scan, in a process of its own."""
    tissue, *donors = (_tissue(job.store, name) for name in (job.name, *job.donors))
    rng = np.random.default_rng([settings.seed, job.draw, _number(job.sha256)])
    return corrupt(tissue, donors, settings.rows.corruption, rng), rng


@lru_cache(maxsize=32)
def _tissue(store: Path, name: str) -> Tissue:
    return tissue_of(_store(store), name)


@lru_cache(maxsize=2)
def _store(folder: Path) -> Store:
    return Store(folder)


def rows_of_inserted(inserted: InsertedScan, settings: RowSettings, read: Read) -> Rows:
    """Rows of a scan of the stage `insert`."""
    corrupted, body = read_inserted(inserted)
    rng = np.random.default_rng(_number(inserted.host))
    return rows_of(corrupted, body, settings, read, None, rng)


def thinned(rows: Rows, most: int) -> Rows:
    """All rows of anomalies, and the first of the others, which lie in no order.

    Arguments:
        rows: Of one scan.
        most: How many of the others there are at most.
    """
    others = np.flatnonzero(rows.anomalous == 0)
    kept = np.sort(np.concatenate([np.flatnonzero(rows.anomalous), others[:most]]))
    features = {name: values[kept] for name, values in rows.features.items()}
    return Rows(features, rows.anomalous[kept], rows.kind[kept], rows.number[kept])


def _number(sha256: str) -> int:
    return int(sha256[:8], 16)
