"""The stage that makes a store of packed scans, or run folders of parts: see `training.pack`."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np

from ctscreener.duplicates import fingerprint
from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings, equalize
from ctscreener.settings import from_json, read_json, to_json, write_json
from ctscreener.whole_file import make_folder, write_bytes
from training.data.arrays import NUMPY, write_array
from training.data.coded import check_codec, decode
from training.data.store import StoredScan, write_manifest
from training.flags import POSITIONAL
from training.pack import FORMAT, FORMAT_VERSION, LIST, MANIFEST, RESULTS, RESULTS_VERSION
from training.workers import check_workers, pool

FORBIDDEN = frozenset("/\\\0:")
"""What no name of a scan has."""


@dataclass(frozen=True)
class UnpackSettings:
    """Unpack scans into a store, or parts into run folders."""

    packed: Annotated[Path, POSITIONAL]
    """File of scans, or folder of parts."""
    out: Path = Path("store")
    """Store, or folder that receives the run folders."""
    equalize: bool = False
    """Equalize as `prepare` does, for the stages from scratch; without it the scans stay in HU."""
    workers: int = 1
    """Processes that unpack scans."""

    def __post_init__(self) -> None:
        """Refuse fewer processes than there can be."""
        check_workers(self.workers)


def main(settings: UnpackSettings) -> None:
    """Unpack; nothing but Pillow and numpy is needed.

    Arguments:
        settings: All settings.

    Raises:
        InputError: What is packed is damaged, of another version, or coded as Pillow cannot read.
    """
    if settings.packed.is_dir():
        unpack_runs(settings)
    else:
        unpack_store(settings)


def unpack_store(settings: UnpackSettings) -> None:
    """Write a store of plain arrays, which are read without blosc2."""
    manifest = read_pack(settings.packed)
    check_codec(manifest["codec"])
    preprocess = from_json(PreprocessSettings, manifest["preprocess"])
    if settings.equalize:
        preprocess = replace(preprocess, clahe_clip=PreprocessSettings().clahe_clip)
    make_folder(settings.out)
    entries, scans = manifest["scans"], []
    if settings.workers <= 1:
        scans = [unpack_one(settings, preprocess, manifest["codec"], one) for one in entries]
    else:
        with pool(settings.workers, 1) as processes:
            jobs = [
                processes.submit(unpack_one, settings, preprocess, manifest["codec"], one)
                for one in entries
            ]
            scans = [job.result() for job in as_completed(jobs)]
    write_json(settings.out / "preprocess.json", to_json(preprocess))
    write_manifest(settings.out, to_json(preprocess), scans, [], manifest["duplicates"])
    print(f"{settings.out}: {len(scans)} scans")


def read_pack(path: Path) -> dict[str, Any]:
    """Read and check what a file of scans says of them.

    Raises:
        InputError: `pack.damaged` or `pack.version`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            found = manifest["format"], manifest["format_version"]
            names = [entry["name"] for entry in manifest["scans"]]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            "pack.damaged", f"Expected packed scans in {path}: {error}.", "Pack them again."
        ) from error
    if found != (FORMAT, FORMAT_VERSION) or any(FORBIDDEN & set(name) for name in names):
        raise InputError(
            "pack.version",
            f"Expected {FORMAT} version {FORMAT_VERSION} in {path}, found {found[0]} {found[1]}.",
            "Pack them again with this version.",
        )
    return manifest


def unpack_one(
    settings: UnpackSettings, preprocess: PreprocessSettings, codec: str, entry: dict[str, Any]
) -> StoredScan:
    """Unpack one scan into the store."""
    scan = StoredScan.from_json(entry)
    with zipfile.ZipFile(settings.packed) as archive:
        film, body = (archive.read(f"{scan.name}.{end}") for end in (codec, "body"))
    hu, inside = decode(film, body, scan.shape, preprocess.window, codec)  # pyright: ignore[reportArgumentType]
    image = equalize(hu.astype(np.float32), preprocess) if preprocess.clahe_clip else hu
    if preprocess.clahe_clip:
        scan = replace(scan, fingerprint=fingerprint(image))
    for part, values in (("image", image), ("body", inside.astype(np.uint8))):
        write_array(settings.out / f"{scan.name}.{part}{NUMPY}", values)
    write_json(settings.out / f"{scan.name}.json", scan.to_json())
    return scan


def unpack_runs(settings: UnpackSettings) -> None:
    """Write run folders from parts."""
    content = b"".join(checked_parts(settings.packed))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            files = {safe(name): archive.read(name) for name in names}
    except zipfile.BadZipFile as error:
        raise InputError(
            "pack.damaged",
            f"Expected packed runs in {settings.packed}: {error}.",
            "Bring them again.",
        ) from error
    for name, data in files.items():
        make_folder((settings.out / name).parent)
        write_bytes(settings.out / name, data)
    print(f"{settings.out}: {', '.join(sorted({name.parts[0] for name in files}))}")


def checked_parts(folder: Path) -> Iterator[bytes]:
    """The parts of a folder in their order.

    Raises:
        InputError: `pack.version` or `pack.damaged`.
    """
    told = read_json(folder / LIST)
    if (told.get("format"), told.get("format_version")) != (RESULTS, RESULTS_VERSION):
        raise InputError(
            "pack.version",
            f"Expected {RESULTS} version {RESULTS_VERSION} in {folder / LIST}, found others.",
            "Pack them again with this version.",
        )
    for part in told["parts"]:
        path = folder / PurePosixPath(part["name"]).name
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != part["sha256"]:
            raise InputError(
                "pack.damaged",
                f"Expected the part {path} as it was packed, found "
                f"{'another' if content else 'none'}.",
                "Bring it again.",
            )
        yield content


def safe(name: str) -> PurePosixPath:
    """A path that stays in its folder.

    Raises:
        InputError: `pack.damaged`.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise InputError(
            "pack.damaged", f"Expected files of run folders, found {name}.", "Pack them again."
        )
    return path
