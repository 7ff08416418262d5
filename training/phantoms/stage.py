"""The stage `phantoms`: a folder of procedural CT scans."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ctscreener.errors import InputError
from ctscreener.progress import Progress
from ctscreener.settings import write_json
from ctscreener.whole_file import clear_tree, make_folder
from training.phantoms.lesions import Family
from training.phantoms.phantom import Phantom, make_phantom
from training.phantoms.sample import write_sample
from training.phantoms.writing import write_volume
from training.workers import pool

FORMAT_VERSION = 1


@dataclass(frozen=True)
class PhantomSettings:
    """What is made; the fields are the flags of the stage."""

    out: Path
    """Folder that receives the scans; complete ones found there are kept."""
    count: int = 40
    """Number of scans."""
    prevalence: float = 0.1
    """Share of scans with lesions where the family is `mixed`."""
    family: Family = "mixed"
    """Kind of lesions; any but `mixed` and `none` puts 1 to 4 into every scan."""
    region: Literal["mixed", "chest", "abdomen", "torso"] = "mixed"
    """Part of the body."""
    seed: int = 0
    """The same seed makes the same scans, whatever the number of workers."""
    workers: int = 1
    """Processes that work at the same time."""
    coarsen: float = 1.0
    """Voxel size relative to the usual one: 1.7 makes a set quickly, for trying out. Voxels of more
    than 1.8 times the usual size are too coarse for any other stage and for screening."""
    sample: bool = False
    """Write one fixed scan with two lesions, `sample_phantom.nrrd`, instead of a set."""

    def __post_init__(self) -> None:
        """Raise where voxels would have no size."""
        if not 0 < self.coarsen < float("inf"):
            raise InputError(
                "phantoms.coarsen",
                f"Expected --coarsen above 0, found {self.coarsen}.",
                "Give another number, such as 1.7.",
            )


def phantom_name(settings: PhantomSettings, index: int) -> str:
    """Return the name of the scan with this number, such as `mixed_0_0007`."""
    return f"{settings.family}_{settings.seed}_{index:04d}"


def draw(settings: PhantomSettings, index: int) -> Phantom:
    """Make one scan of a set, independent of all others.

    Arguments:
        settings: What is made.
        index: Number of the scan.

    Returns:
        The phantom.
    """
    seed = [settings.seed, index]
    seed.append(int.from_bytes(f"{settings.family}/{settings.region}".encode(), "little"))
    rng = np.random.default_rng(seed)
    return make_phantom(
        rng, settings.region, settings.family, settings.prevalence, settings.coarsen
    )


def _save(settings: PhantomSettings, index: int) -> tuple[int, dict]:
    """Make and write one scan; its description is written last and tells that it is complete."""
    name = phantom_name(settings, index)
    done = settings.out / ".done" / f"{name}.json"
    if done.is_file() and (settings.out / f"{name}.nii.gz").is_file():
        return index, json.loads(done.read_text())
    phantom = draw(settings, index)
    affine = phantom.scan.affine
    if phantom.lesions.any():
        write_volume(settings.out / f"{name}_lesion.nii.gz", phantom.lesions, affine)
    write_volume(settings.out / f"{name}.nii.gz", phantom.scan.hu.astype(np.int16), affine)
    record = {"name": name, "shape": list(phantom.scan.shape), **phantom.description}
    write_json(done, record)
    return index, record


def _all(settings: PhantomSettings) -> Iterator[tuple[int, dict]]:
    make = partial(_save, settings)
    if settings.workers <= 1:
        yield from map(make, range(settings.count))
        return
    with pool(settings.workers) as processes:
        yield from processes.map(make, range(settings.count))


def _plain(settings: PhantomSettings) -> dict:
    kept = asdict(settings)
    for name in ("out", "workers", "count", "sample"):
        del kept[name]
    return kept


def _check(settings: PhantomSettings) -> None:
    if settings.count < 1 or settings.workers < 1 or not 0 <= settings.prevalence <= 1:
        raise InputError(
            "phantoms.settings",
            f"Expected count and workers of 1 or more and a prevalence from 0 to 1, found "
            f"{settings.count}, {settings.workers} and {settings.prevalence}.",
            "Correct the option.",
        )
    manifest = settings.out / "manifest.json"
    if manifest.is_file() and json.loads(manifest.read_text())["settings"] != _plain(settings):
        raise InputError(
            "phantoms.folder",
            f"{settings.out} holds phantoms made with other settings.",
            "Choose another folder, or the settings that its manifest.json names.",
        )


def make_phantoms(settings: PhantomSettings, progress: Progress) -> list[dict]:
    """Make a set of phantoms, or what is missing of it.

    Arguments:
        settings: What is made.
        progress: Told after each scan.

    Returns:
        One description a scan, in order.

    Raises:
        InputError: Settings out of range, or a folder made with other settings.
    """
    _check(settings)
    make_folder(settings.out / ".done")
    clear_tree(settings.out)
    manifest = {"format": "ctscreener-phantoms", "format_version": FORMAT_VERSION}
    manifest |= {"settings": _plain(settings), "scans": []}
    write_json(settings.out / "manifest.json", manifest)
    records = []
    for index, record in _all(settings):
        records.append(record)
        progress("phantoms", index + 1, settings.count)
    write_json(settings.out / "manifest.json", manifest | {"scans": records})
    return records


def _say(stage: str, done: int, total: int) -> None:
    print(f"{stage} {done}/{total}", flush=True)


def main(settings: PhantomSettings) -> None:
    """Run the stage; see `make_phantoms`.

    Arguments:
        settings: What is made.
    """
    if settings.sample:
        write_sample(settings.out)
    else:
        make_phantoms(settings, _say)
