"""The stage `insert`: real scans with lesions of known place."""

import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ctscreener.errors import InputError
from ctscreener.files import read_mask, read_scan
from ctscreener.progress import Progress
from ctscreener.scan import Scan
from ctscreener.settings import write_json
from ctscreener.streams import say
from ctscreener.whole_file import NotWrittenError, clear_tree, make_folder
from training.data.sources import Source, find_sources, hash_source
from training.datasets.masks import lesions_of
from training.evaluation.cases import INSERTED
from training.evaluation.layouts import mask_beside
from training.flags import POSITIONAL
from training.inserted.host import Host, InsertedFamily, find_host
from training.inserted.insertion import Inserted, insert
from training.phantoms.lesion_site import LABELS
from training.phantoms.writing import write_volume
from training.workers import pool

FORMAT_VERSION = 1

Made = list[dict[str, Any]] | str
"""The records of a scan's copies, or why it takes no lesion."""


@dataclass(frozen=True)
class InsertSettings:
    """Insert synthetic lesions into real scans, to measure models on; research use only."""

    scans: Annotated[tuple[Path, ...], POSITIONAL]
    """Scans, DICOM folders, folders that hold such, or data sets, NAME:FOLDER. What lesions a scan
    has, a set's masks or a `<name>_lesion.nii.gz` beside it tell: none is put there, and they
    count neither as lesion nor healthy."""
    out: Path
    """Folder that receives the scans with their masks; complete ones found there are kept."""
    family: InsertedFamily
    """Kind of lesions; scans in which its organ is not found for sure are refused."""
    count: int = 1
    """Copies of each scan, each with lesions of its own."""
    seed: int = 0
    """The same seed makes the same voxels of a scan, whatever other scans there are."""
    workers: int = 1
    """Processes that take a scan each; the same voxels for any number."""


def inserted_name(settings: InsertSettings, source: Source, copy: int) -> str:
    """Return the name of a copy, such as `a_lung_nodule_0_0002`."""
    return f"{source.name}_{settings.family}_{settings.seed}_{copy:04d}"


def generator(settings: InsertSettings, source: Source, copy: int) -> np.random.Generator:
    """Make the generator of one copy; -1 is that of what all copies share."""
    words = f"{settings.family}/{source.name}".encode()
    return np.random.default_rng([settings.seed, zlib.crc32(words), copy + 1])


def insert_all(settings: InsertSettings, progress: Progress) -> dict[str, Any]:
    """Make a set of scans with lesions, or what is missing of it.

    Arguments:
        settings: What is made.
        progress: Told after each scan.

    Returns:
        The manifest: settings, scans made, scans refused with the reason.

    Raises:
        InputError: Settings out of range, a folder made with other settings, no scan found, or
            every scan refused.
    """
    _check(settings)
    sources = find_sources(settings.scans)
    manifest: dict[str, Any] = {
        "format": INSERTED,
        "format_version": FORMAT_VERSION,
        "settings": _plain(settings),
        "scans": [],
        "refused": [],
    }
    make_folder(settings.out / ".done")
    clear_tree(settings.out)
    for number, (source, made) in enumerate(zip(sources, _all(settings, sources), strict=True), 1):
        if isinstance(made, str):
            manifest["refused"].append({"scan": source.name, "reason": made})
            say(sys.stderr, f"Refused {source.name}: {made}")
        else:
            manifest["scans"] += made
        progress("insert", number, len(sources))
    write_json(settings.out / "manifest.json", manifest)
    if not manifest["scans"]:
        raise InputError(
            "insert.nothing",
            f"Expected a scan that can take a {settings.family} among {len(sources)}, found none.",
            "The reason for each is listed above.",
        )
    return manifest


def _all(settings: InsertSettings, sources: Sequence[Source]) -> Iterator[Made]:
    """Take every scan, here or in several processes, in order."""
    make = partial(_made, settings)
    if settings.workers <= 1:
        yield from map(make, sources)
        return
    with pool(settings.workers) as processes:
        yield from processes.map(make, sources)


def _made(settings: InsertSettings, source: Source) -> Made:
    """The records of one scan's copies, or why there are none."""
    try:
        return _copies(settings, source)
    except NotWrittenError:
        raise
    except InputError as error:
        return error.message


def _copies(settings: InsertSettings, source: Source) -> list[dict[str, Any]]:
    """Make the copies of one scan that are not there yet; return the records of all."""
    sha256, host = hash_source(source.path, source.series), None
    records = []
    for copy in range(settings.count):
        record = _done(settings, source, copy, sha256)
        if record is None:
            host = host or _host(settings, source)
            result = insert(host, generator(settings, source, copy))
            record = _save(settings, source, copy, host, result, sha256)
        records.append(record)
    return records


def _done(settings: InsertSettings, source: Source, copy: int, sha256: str) -> dict | None:
    """The record of a copy that is complete and was made from this very scan."""
    name = inserted_name(settings, source, copy)
    path = settings.out / ".done" / f"{name}.json"
    if not path.is_file() or not (settings.out / f"{name}.nii.gz").is_file():
        return None
    record = json.loads(path.read_text())
    return record if record["source_sha256"] == sha256 else None


def _host(settings: InsertSettings, source: Source) -> Host:
    scan = source.read(read_scan)
    return find_host(
        scan, settings.family, generator(settings, source, -1), known_lesions(source, scan)
    )


def known_lesions(source: Source, scan: Scan) -> np.ndarray | None:
    """Read the lesions that a data set or a mask beside a scan tells of, if there are any.

    Arguments:
        source: The scan.
        scan: The same, as read.

    Returns:
        Labels, 0 where no lesion is known, uint8, in the scan's shape.

    Raises:
        InputError: The mask cannot be read or lies on another grid.
    """
    reader, example = source.reader, source.example
    if reader is not None and example is not None:
        return lesions_of(reader, example, scan)
    mask = mask_beside(source.path)
    return read_mask(mask, scan) if mask.is_file() else None


def _save(
    settings: InsertSettings,
    source: Source,
    copy: int,
    host: Host,
    result: Inserted,
    sha256: str,
) -> dict[str, Any]:
    """Write one copy; its record is written last and tells that it is complete."""
    name = inserted_name(settings, source, copy)
    mask = result.mask
    old = known_lesions(source, host.scan)
    if old is not None:
        mask = np.where((old > 0) & (mask == 0), np.uint8(LABELS["other"]), mask)
    write_volume(settings.out / f"{name}_lesion.nii.gz", mask, host.scan.affine)
    write_volume(settings.out / f"{name}.nii.gz", as_stored(result.hu), host.scan.affine)
    record = {
        "name": name,
        "source": source.name,
        "source_sha256": sha256,
        "shape": list(host.scan.shape),
        "noise_hu": round(host.noise.hu, 1),
        "blur_voxels": [round(float(b), 2) for b in host.blur],
        "organ": host.evidence,
        "lesions": result.lesions,
    }
    write_json(settings.out / ".done" / f"{name}.json", record)
    return record


def as_stored(hu: np.ndarray) -> np.ndarray:
    """HU as int16 where nothing is lost by it, as float32 where the scan has fractions."""
    whole = hu.astype(np.int16) if np.abs(hu).max() < 2**15 - 1 else hu
    return whole if np.array_equal(whole, hu) else hu


def _plain(settings: InsertSettings) -> dict[str, Any]:
    return {"family": settings.family, "seed": settings.seed}


def _check(settings: InsertSettings) -> None:
    if settings.count < 1 or settings.workers < 1 or settings.seed < 0:
        raise InputError(
            "insert.settings",
            f"Expected a count and workers of 1 or more and a seed of 0 or more, found "
            f"{settings.count}, {settings.workers} and {settings.seed}.",
            "Correct the option.",
        )
    path = settings.out / "manifest.json"
    if path.is_file() and json.loads(path.read_text()).get("settings") != _plain(settings):
        raise InputError(
            "insert.folder",
            f"{settings.out} holds scans made with other settings.",
            "Choose another folder, or the settings that its manifest.json names.",
        )


def _say(stage: str, done: int, total: int) -> None:
    print(f"{stage} {done}/{total}", flush=True)


def main(settings: InsertSettings) -> None:
    """Run the stage; see `insert_all`.

    Arguments:
        settings: What is made.
    """
    insert_all(settings, _say)
