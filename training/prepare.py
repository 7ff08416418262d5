"""The stage that turns scans of any format into a store of prepared scans."""

import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from ctscreener.duplicates import duplicates
from ctscreener.encoded import PLAIN
from ctscreener.errors import InputError
from ctscreener.files import files_of
from ctscreener.model_limits import check_limits
from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import read_json, to_json, write_json
from ctscreener.streams import say
from ctscreener.whole_file import clear_tree, make_folder
from training.cluster import over_cluster
from training.data.brain import KIND, BrainSettings
from training.data.sources import Source, find_sources
from training.data.store import FINE, FORMAT, StoredScan, read_manifest, write_manifest
from training.flags import POSITIONAL
from training.loop.journal import PLAIN_EVERY
from training.prepare_one import Copy, How, prepare_one
from training.workers import check_workers, pool


@dataclass(frozen=True)
class PrepareSettings:
    """Prepare scans for training: canonical axes, spacing, window, local contrast, body mask."""

    scans: Annotated[tuple[Path, ...], POSITIONAL]
    """Scans, DICOM folders, folders that hold such at any depth (`*_lesion.*` is ignored), or data
    sets, NAME:FOLDER, which the stage `datasets` lists."""
    store: Path = Path("store")
    """Folder for the prepared scans; those that it holds already are not prepared again."""
    workers: int = 0
    """Processes; 0 for one on each core, and with 1 no other than this one."""
    preprocess: PreprocessSettings = field(default_factory=PreprocessSettings)
    """How a scan is prepared."""
    fine: tuple[float, float, float] | None = None
    """Spacing (D, H, W) in mm of a second, finer copy that crops are cut from; the preset `paper`
    has 1.5 1.0 1.0, as the authors store their scans."""

    plain: bool = False
    """HU as they are, on the grid of the encoder: for the stage `discriminator`."""
    permissive: bool = False
    """Refuse scans whose licence lets not everyone use what is made of them, or is not told: for
    weights that may be passed on, also for money."""
    kind: Literal["ct", "brain-mri"] = "ct"
    """What the pictures are; brain MRI goes into a store of its own, which stages of CT refuse."""
    brain: BrainSettings = field(default_factory=BrainSettings)
    """How a brain MRI is prepared."""
    scheduler: str = ""
    """`local`, `slurm` or the address of a Dask scheduler, whose workers see the same disks; without
    it the processes are those of this machine."""

    def __post_init__(self) -> None:
        """Refuse fewer processes than there can be."""
        check_workers(self.workers, fewest=0)

    def copies(self) -> list[Copy]:
        """The folders to fill and how; the last one is that which a screening sees."""
        if self.kind == KIND:
            return [(self.store, self.brain)]
        seen = (self.store, PLAIN if self.plain else self.preprocess)
        if self.fine is None:
            return [seen]
        # Crops are not pooled, so that their grid needs to be no multiple of anything.
        fine = replace(self.preprocess, spacing=self.fine, multiple=(1, 1, 1))
        return [(self.store / FINE, fine), seen]


def main(settings: PrepareSettings) -> None:
    """Prepare every scan that can be found; those that cannot be used are listed with a reason.

    Arguments:
        settings: All settings.

    Raises:
        InputError: Nothing was found, nothing could be used, or the store was made otherwise.
    """
    check_grids(settings)
    sources = find_sources(settings.scans, settings.kind)
    if settings.permissive:
        check_licences(sources)
    copies = settings.copies()
    for folder, preprocess in copies:
        _claim_store(folder, preprocess)
    skipped: list[dict[str, str]] = []
    known = [_known(folder) for folder, _ in copies]
    todo = [
        source
        for source in sources
        if not all(
            _is_done(found.get(source.name), source, folder)
            for found, (folder, _) in zip(known, copies, strict=True)
        )
    ]
    for source, outcome in _shown(_prepared(todo, settings), len(todo)):
        if isinstance(outcome, str):
            for found in known:
                found.pop(source.name, None)
            skipped.append({"source": str(source.path), "reason": outcome})
            say(sys.stderr, f"Skipped {source.path}: {outcome}")
            continue
        for found, stored in zip(known, outcome, strict=True):
            found[source.name] = stored
    alike = duplicates({name: scan.fingerprint for name, scan in known[-1].items()})
    for found, (folder, preprocess) in zip(known, copies, strict=True):
        scans = [stored for name, stored in found.items() if name in known[-1]]
        write_manifest(folder, to_json(preprocess), scans, skipped, alike)
    _tell(settings.store, list(known[-1]), skipped, alike)
    if not known[-1]:
        raise InputError(
            "prepare.nothing",
            f"Expected a usable scan among {len(sources)}, found none.",
            "The reason for each is listed above.",
        )


def check_grids(settings: PrepareSettings) -> None:
    """Refuse grids and windows that no model can have.

    Raises:
        InputError: `prepare.settings`.
    """
    try:
        for _, how in settings.copies():
            check_limits(to_json(how))
    except ValueError as error:
        raise InputError(
            "prepare.settings",
            f"Expected a grid and a window that a model can have, found that {error}.",
            "Give other values to the flags --preprocess, --brain or --fine.",
        ) from error


def check_licences(sources: Sequence[Source]) -> None:
    """Refuse scans whose licence is not permissive, or not known.

    Raises:
        InputError: `datasets.licence`.
    """
    found = {
        f"{source.dataset} ({source.licence})" if source.reader else "scans of no named set"
        for source in sources
        if not (source.reader and source.reader.licence.permissive)
    }
    if found:
        raise InputError(
            "datasets.licence",
            f"Expected sets with a permissive licence, found {', '.join(sorted(found))}.",
            "python training/run.py datasets --permissive lists those that have one.",
        )


def _tell(
    store: Path, names: list[str], skipped: list[dict[str, str]], alike: list[list[str]]
) -> None:
    """Say what the store holds."""
    for group in alike:
        print(f"Nearly the same scan: {', '.join(group)}", file=sys.stderr)
    if alike:
        print(
            "Leave all but one of each out with --exclude, and keep them on one side of a split.",
            file=sys.stderr,
        )
    print(f"{store}: {len(names)} scans, {len(skipped)} skipped", file=sys.stderr)


def _prepared(
    todo: Sequence[Source], settings: PrepareSettings
) -> Iterator[tuple[Source, list[StoredScan] | str]]:
    """Prepare scans in several processes, and give each as it is done."""
    copies = settings.copies()
    if settings.scheduler:
        yield from _over_cluster(todo, settings)
        return
    workers = min(settings.workers or os.cpu_count() or 1, max(1, len(todo)))
    if workers <= 1:
        for source in todo:
            yield source, prepare_one(source, copies)
        return
    with pool(workers) as processes:
        jobs = {processes.submit(prepare_one, source, copies): source for source in todo}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BrokenProcessPool as error:
            raise InputError(
                "prepare.killed",
                f"Expected {workers} processes to prepare scans, found that one of them ended "
                "before its time, as happens where memory runs out.",
                "Run it again with fewer --workers: what is prepared is kept.",
            ) from error
        finally:
            processes.shutdown(wait=True, cancel_futures=True)


def _over_cluster(
    todo: Sequence[Source], settings: PrepareSettings
) -> Iterator[tuple[Source, list[StoredScan] | str]]:
    """Prepare scans by the workers of a cluster; one that ends them twice is skipped and named."""
    items = {source.name: source for source in todo}
    work = partial(prepare_one, copies=settings.copies())
    for source, outcome in over_cluster(
        settings.scheduler, settings.workers, work, items, settings.store
    ):
        yield source, outcome.message if isinstance(outcome, InputError) else outcome


def _claim_store(store: Path, preprocess: How) -> None:
    """Refuse to mix scans prepared in two ways in one store."""
    make_folder(store)
    clear_tree(store)
    path = store / "preprocess.json"
    mine: Any = to_json(preprocess)
    if path.exists() and read_json(path) != mine:
        raise InputError(
            "prepare.other_settings",
            f"{store} holds scans that were prepared with other settings.",
            "Use the same settings, or another --store.",
        )
    write_json(path, mine)


def _known(store: Path) -> dict[str, StoredScan]:
    """Give the scans that the store holds whole, from its manifest or from a broken-off run."""
    if (store / "manifest.json").exists():
        read_manifest(store)
    return {
        entry["name"]: StoredScan.from_json(entry)
        for entry in map(read_json, sorted(store.glob("*.json")))
        if isinstance(entry, dict) and entry.get("format") != FORMAT and "sha256" in entry
    }


def _is_done(stored: StoredScan | None, source: Source, store: Path) -> bool:
    """Whether the store holds this scan and its files have not been touched since.

    Times are compared, not hashes: reading all sources again would take hours.
    """
    if stored is None or stored.source != str(source.path):
        return False
    try:
        newest = max((file.stat().st_mtime for file in files_of(source.path)), default=math.inf)
    except (OSError, InputError):
        # Gone, or not all there any more: preparing it anew says why.
        return False
    return newest <= (store / f"{source.name}.json").stat().st_mtime


def _shown(
    outcomes: Iterator[tuple[Source, list[StoredScan] | str]], total: int
) -> Iterator[tuple[Source, list[StoredScan] | str]]:
    """Pass outcomes on as they come, and say how long the others will take."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(outcomes, "preparing", total, console=console)
        return
    started = last = time.monotonic()
    for done, outcome in enumerate(outcomes, 1):
        yield outcome
        now = time.monotonic()
        if now - last > PLAIN_EVERY:
            last = now
            left = (now - started) * (total - done) / done / 60
            print(f"preparing: {done} of {total}, {left:.1f} minutes left", file=sys.stderr)
