"""The stage that packs what travels to a machine without network, and what comes back from it."""

import fnmatch
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors.torch import load_file, save

from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import from_json, write_json
from ctscreener.whole_file import make_folder, write_bytes
from training.data.coded import Coded, best_codec, encode
from training.data.store import Store
from training.workers import check_workers, pool

FORMAT, FORMAT_VERSION = "ctscreener-pack", 1
RESULTS, RESULTS_VERSION = "ctscreener-parts", 1
MANIFEST = "manifest.json"
LIST = "parts.json"
MIB = 2**20


@dataclass(frozen=True)
class PackSettings:
    """Pack a store of scans in HU into one file, or run folders into parts."""

    store: Path | None = None
    """Store in HU, from `prepare --plain` or `prepare --preprocess.clahe-clip 0`."""
    runs: tuple[Path, ...] = ()
    """Run or model folders in place of a store."""
    out: Path = Path("packed")
    """File for a store, folder for runs."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    codec: Literal["auto", "avif", "webp"] = "auto"
    """How slices are coded: AVIF where Pillow has it."""
    quality: int = 85
    """Quality of the pictures, 1 to 100."""
    most_mib: float = 64.0
    """Size of the file at most, MiB; of more nothing is written."""
    without: tuple[str, ...] = (
        *("checkpoint.safetensors", "events.out.tfevents.*", "rows", "placed"),
    )
    """Files and folders of runs that stay where they are; `*` stands for any text."""
    part_mb: float = 15.0
    """Size of a part at most, million bytes."""
    workers: int = 1
    """Processes that code scans."""

    def __post_init__(self) -> None:
        """Refuse fewer processes than there can be."""
        check_workers(self.workers)


def main(settings: PackSettings) -> None:
    """Pack a store or runs.

    Arguments:
        settings: All settings.

    Raises:
        InputError: There is nothing to pack, it is not in HU, or the file would be too large.
    """
    if (settings.store is None) == (not settings.runs):
        raise InputError(
            "pack.what",
            "Expected one of --store and --runs, found "
            + ("both." if settings.store else "neither."),
            "Give one of them.",
        )
    if settings.store is not None:
        pack_store(settings, Store(settings.store, settings.exclude))
    else:
        pack_runs(settings)


def pack_store(settings: PackSettings, store: Store) -> None:
    """Write the scans of a store into one file."""
    preprocess = from_json(PreprocessSettings, store.preprocess)
    if preprocess.clahe_clip:
        raise InputError(
            "pack.grey",
            f"Expected a store in HU in {store.folder}, found equalized grey values.",
            "Prepare with --plain or --preprocess.clahe-clip 0; `unpack` equalizes.",
        )
    codec = best_codec() if settings.codec == "auto" else settings.codec
    content = io.BytesIO()
    entries = []
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, coded in coded_scans(store, settings, codec):
            archive.writestr(f"{name}.{codec}", coded.film)
            archive.writestr(f"{name}.body", coded.body)
            found = {"error_hu": round(coded.error_hu, 2)}
            entries.append(store.scans[name].to_json() | found)
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "preprocess": store.preprocess,
            "codec": codec,
            "duplicates": store.alike,
            "scans": entries,
        }
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
    size = len(content.getvalue())
    if size > settings.most_mib * MIB:
        raise InputError(
            "pack.size",
            f"Expected at most {settings.most_mib:g} MiB, found {size / MIB:.1f} MiB for "
            f"{len(entries)} scans.",
            "Leave some out with --exclude, or use a lower --quality.",
        )
    make_folder(settings.out.parent)
    write_bytes(settings.out, content.getvalue())
    lost = max(float(entry["error_hu"]) for entry in entries)
    print(
        f"{settings.out}: {len(entries)} scans, {size / MIB:.2f} MiB, {codec} {settings.quality}; "
        f"HU in the body off by {lost:.1f} (root mean square) at most"
    )


def coded_scans(
    store: Store, settings: PackSettings, codec: Literal["avif", "webp"]
) -> Iterator[tuple[str, Coded]]:
    """Code the scans of a store one after the other, some at the same time."""
    if settings.workers <= 1:
        for name in store.names:
            yield name, code_one(store.folder, name, codec, settings.quality)
        return
    with pool(settings.workers) as processes:
        jobs = [
            processes.submit(code_one, store.folder, name, codec, settings.quality)
            for name in store.names
        ]
        for name, job in zip(store.names, jobs, strict=True):
            yield name, job.result()


def code_one(folder: Path, name: str, codec: Literal["avif", "webp"], quality: int) -> Coded:
    """Code one scan of a store."""
    store = Store(folder)
    window = from_json(PreprocessSettings, store.preprocess).window
    prepared = store.prepared(name)
    return encode(prepared.image, prepared.body, window, codec, quality)


def pack_runs(settings: PackSettings) -> None:
    """Write run folders into parts, with a list that tells their hashes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for run in settings.runs:
            for path in kept_files(run, settings.without):
                name = f"{run.name}/{path.relative_to(run).as_posix()}"
                archive.writestr(name, halved(path))
    whole, size = content.getvalue(), int(settings.part_mb * 1e6)
    make_folder(settings.out)
    parts = []
    for number, start in enumerate(range(0, len(whole), size)):
        part = whole[start : start + size]
        parts.append({"name": f"part.{number:03d}", "sha256": hashlib.sha256(part).hexdigest()})
        write_bytes(settings.out / parts[-1]["name"], part)
    told = {"format": RESULTS, "format_version": RESULTS_VERSION, "parts": parts}
    write_json(settings.out / LIST, told)
    print(f"{settings.out}: {len(parts)} parts, {len(whole) / 1e6:.1f} MB")


def kept_files(run: Path, without: Sequence[str]) -> Iterator[Path]:
    """Files of a run folder that travel.

    Raises:
        InputError: `pack.missing`.
    """
    if not run.is_dir():
        raise InputError("pack.missing", f"Expected a folder {run}, found none.", "Check --runs.")
    for path in sorted(run.rglob("*")):
        names = path.relative_to(run).parts
        left = any(fnmatch.fnmatch(name, pattern) for name in names for pattern in without)
        if path.is_file() and not left:
            yield path


def halved(path: Path) -> bytes:
    """A file's content; of the weights of a network in float16, as models keep them."""
    if path.name != "network.safetensors":
        return path.read_bytes()
    return save({n: t.half().contiguous() for n, t in load_file(path).items()})
