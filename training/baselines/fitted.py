"""A fitted baseline is a folder: `baseline.json` and `arrays.safetensors`, measured like a model."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ctscreener.errors import InputError
from ctscreener.events import Terminal
from ctscreener.files import read_scan
from ctscreener.preprocess import PreprocessSettings
from ctscreener.provenance import fingerprint
from ctscreener.scan import Scan
from ctscreener.settings import read_json, write_json
from ctscreener.whole_file import make_folder, write_bytes
from training.baselines.trivial import MeanAtPlace, body_of
from training.data.sources import find_sources

FORMAT, FORMAT_VERSION = "ctscreener-baseline", 1
Method = Literal["mean_at_place"]


class Scorer(Protocol):
    """What every baseline can do once it is fitted."""

    def scores(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score a scan: float32 on its grid, higher is rarer, NaN outside of the body."""
        ...


@dataclass(frozen=True)
class BaselineSettings:
    """Fit a baseline on scans without labels."""

    train: tuple[Path, ...]
    """Scans, DICOM folders, or folders that hold such at any depth."""
    out: Path = Path("baseline")
    """The folder to write; its name is the baseline's name."""
    method: Method = "mean_at_place"
    """`mean_at_place`: the distance of a voxel's HU from the mean of other scans there."""
    limit: int | None = None
    """Scans at most."""


@dataclass(frozen=True)
class Fitted:
    """A baseline that is ready to score.

    Arguments:
        name: What it is called in results.
        sha256: Hash of its arrays.
        seen: SHA-256 of the scans that it was fitted on.
        scorer: What scores.
    """

    name: str
    sha256: str
    seen: frozenset[str]
    scorer: Scorer


def main(settings: BaselineSettings) -> None:
    """Fit a baseline and write its folder; `baseline.json`, by which it is found, comes last.

    Arguments:
        settings: All settings.

    Raises:
        InputError: No scan was found, or none could be used.
    """
    paths = [source.path for source in find_sources(settings.train)][: settings.limit]
    mean = MeanAtPlace.fit(bodies(paths, PreprocessSettings()))
    content = save({"hu": mean.hu})
    make_folder(settings.out)
    write_bytes(settings.out / "arrays.safetensors", content)
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "method": settings.method,
        "scans": mean.scans,
        "sha256": hashlib.sha256(content).hexdigest(),
        "data": [fingerprint(path) for path in paths],
    }
    write_json(settings.out / "baseline.json", description)
    print(f"baseline: wrote {settings.out}, fitted on {mean.scans} scans")


def load_fitted(folder: Path) -> Fitted:
    """Load and check a fitted baseline.

    Raises:
        InputError: `baseline.missing`, `baseline.version` or `baseline.damaged`.
    """
    path = folder / "baseline.json"
    if not path.is_file():
        raise InputError(
            "baseline.missing",
            f"Expected a fitted baseline in {folder}, found no baseline.json.",
            "Make one by `training/run.py baseline`.",
        )
    description: Any = read_json(path)
    known = description if isinstance(description, dict) else {}
    found = [known.get(name) for name in ("format", "format_version", "method")]
    if found != [FORMAT, FORMAT_VERSION, "mean_at_place"]:
        raise InputError(
            "baseline.version",
            f"Expected {FORMAT} version {FORMAT_VERSION} of the method mean_at_place, found {found}.",
            "Fit the baseline again with this version.",
        )
    try:
        content = (folder / "arrays.safetensors").read_bytes()
        arrays = load(content)
    except (OSError, SafetensorError) as error:
        raise _damaged(folder, str(error)) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != description["sha256"]:
        raise _damaged(folder, "other arrays than it was written with")
    seen = frozenset(scan["sha256"] for scan in description["data"])
    scorer = MeanAtPlace(arrays["hu"], int(description["scans"]))
    return Fitted(folder.resolve().name, digest, seen, scorer)


def _damaged(folder: Path, found: str) -> InputError:
    return InputError(
        "baseline.damaged",
        f"Expected the arrays of a fitted baseline in {folder}, found {found}.",
        "Copy it again, or fit it again.",
    )


def check_fitted(
    baselines: Sequence[Fitted], measured: Sequence[str], taken: Sequence[str]
) -> None:
    """Make sure that baselines can be told apart, and saw no scan that they are measured on.

    Arguments:
        baselines: The baselines.
        measured: SHA-256 of the scans.
        taken: Names of other scores.

    Raises:
        InputError: `baseline.name` or `baseline.seen`.
    """
    names = [*taken, *(fitted.name for fitted in baselines)]
    if len(set(names)) < len(names):
        raise InputError(
            "baseline.name",
            f"Expected scores of different names, found {', '.join(names)}.",
            "Rename a baseline's folder.",
        )
    for fitted in baselines:
        both = fitted.seen.intersection(measured)
        if both:
            raise InputError(
                "baseline.seen",
                f"Expected scans that the baseline {fitted.name} has not seen, found {len(both)} "
                "that it was fitted on.",
                "Fit it on other scans, or measure it on others.",
            )


def bodies(
    paths: Sequence[Path], preprocess: PreprocessSettings
) -> Iterator[tuple[Scan, np.ndarray]]:
    """Read scans and find their bodies; what cannot be used is named and left out."""
    report = Terminal(sys.stdout, sys.stderr)
    for done, path in enumerate(paths):
        report.progress("averaging", done, len(paths))
        try:
            scan = read_scan(path)
            body = body_of(scan, preprocess)
        except InputError as error:
            report.refused(error, path.name)
            continue
        yield scan, body
    report.progress("averaging", len(paths), len(paths))
