"""A fitted rival is a folder: `baseline.json` and `weights.safetensors`, measured like a model."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save

from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from ctscreener.provenance import fingerprint
from ctscreener.scan import Scan
from ctscreener.screening import ScreenSettings
from ctscreener.settings import from_json, read_json, to_json, write_json
from ctscreener.version import VERSION
from ctscreener.whole_file import make_folder, write_bytes
from training.baselines.method import Rival, RivalSettings
from training.baselines.methods import METHODS
from training.baselines.scoring import rival_map
from training.data.store import Store

FORMAT, FORMAT_VERSION = "ctscreener-baseline", 2
FITTED = "fitted"
"""The folder of a run that holds its result; such a one is called after the run."""


class Rated(Protocol):
    """What the evaluation sees of every score, that of a model included."""

    @property
    def name(self) -> str:
        """What it is called in results."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of all that its map depends on beside scan and body; empty where that is the code."""
        ...

    @property
    def seen(self) -> frozenset[str]:
        """SHA-256 of the scans that it must not be measured on."""
        ...

    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score a scan: float32 on its grid, higher is rarer, NaN outside of `body`."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A fitted rival that is ready to score.

    Arguments:
        name: What it is called in results.
        sha256: Hash of its weights, its settings and how it is asked.
        seen: SHA-256 of the scans that it was fitted on.
        rival: What scores.
        screening: Overlap, batch and device.
    """

    name: str
    sha256: str
    seen: frozenset[str]
    rival: Rival
    screening: ScreenSettings

    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score a scan; see `Rated`."""
        return rival_map(self.rival, scan, body, self.screening)


def write_folder(
    folder: Path, method: str, settings: RivalSettings, rival: Rival, store: Store
) -> None:
    """Write a fitted rival; `baseline.json`, by which it is found, comes last.

    Arguments:
        folder: Where to; made if missing.
        method: The name of the method.
        settings: What it was built from.
        rival: Its weights are kept.
        store: What it was fitted on.
    """
    content = save({name: value.contiguous() for name, value in rival.state_dict().items()})
    make_folder(folder)
    write_bytes(folder / "weights.safetensors", content)
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": VERSION,
        "method": method,
        "settings": to_json(settings),
        "preprocess": store.preprocess,
        "sha256": hashlib.sha256(content).hexdigest(),
        "data": store.provenance()["scans"],
        "files": {
            what: fingerprint(path) for what, path in METHODS[method].files(settings).items()
        },
    }
    write_json(folder / "baseline.json", description)


def load_folder(folder: Path, screening: ScreenSettings = ScreenSettings()) -> Fitted:
    """Load and check a fitted rival.

    Arguments:
        folder: What the stage `baseline` wrote.
        screening: How its tiles overlap, and where it runs.

    Raises:
        InputError: `baseline.missing`, `baseline.version` or `baseline.damaged`.
    """
    path = folder / "baseline.json"
    if not path.is_file():
        raise InputError(
            "baseline.missing",
            f"Expected a fitted baseline in {folder}, found no baseline.json.",
            "Make one by `training/run.py baseline`; it is the folder `fitted` of the run.",
        )
    read: Any = read_json(path)
    known = read if isinstance(read, dict) else {}
    found = (known.get("format"), known.get("format_version"), known.get("method"))
    if found[:2] != (FORMAT, FORMAT_VERSION) or found[2] not in METHODS:
        raise InputError(
            "baseline.version",
            f"Expected {FORMAT} version {FORMAT_VERSION} of a known method, found {found}.",
            "Fit the baseline again with this version.",
        )
    try:
        rival, asked = _built(known, folder), _asked(known, screening)
        seen = frozenset(scan["sha256"] for scan in known["data"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(folder, str(error)) from error
    name = folder.resolve()
    return Fitted(
        (name.parent if name.name == FITTED else name).name, asked, seen, rival, screening
    )


def _built(known: dict[str, Any], folder: Path) -> Rival:
    """The rival with its weights."""
    content = (folder / "weights.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != known["sha256"]:
        raise ValueError("other weights than it was written with")
    method: Any = METHODS[known["method"]]
    settings = from_json(method.settings, known["settings"])
    rival: Rival = method.build(settings, from_json(PreprocessSettings, known["preprocess"]))
    rival.load_state_dict(load(content))
    rival.eval().requires_grad_(False)
    return rival


def _asked(known: dict[str, Any], screening: ScreenSettings) -> str:
    """Hash of what a map depends on; where it runs and where it is kept decide nothing."""
    settings = {name: value for name, value in known["settings"].items() if name != "data"}
    parts = [known["sha256"], known["method"], settings, known["preprocess"], screening.overlap]
    return hashlib.sha256(json.dumps([VERSION, *parts], sort_keys=True).encode()).hexdigest()


def _damaged(folder: Path, found: str) -> InputError:
    return InputError(
        "baseline.damaged",
        f"Expected a whole fitted baseline in {folder}, found {found}.",
        "Copy it again, or fit it again.",
    )


def check_rated(rated: Sequence[Rated], measured: Sequence[str]) -> None:
    """Make sure that scores can be told apart, and saw no scan that they are measured on.

    Arguments:
        rated: The scores.
        measured: SHA-256 of the scans.

    Raises:
        InputError: `baseline.name` or `baseline.seen`.
    """
    names = [one.name for one in rated]
    if len(set(names)) < len(names):
        raise InputError(
            "baseline.name",
            f"Expected scores of different names, found {', '.join(names)}.",
            "Name each once; rename a baseline's run folder.",
        )
    for one in rated:
        both = one.seen.intersection(measured)
        if both:
            raise InputError(
                "baseline.seen",
                f"Expected scans that the baseline {one.name} has not seen, found {len(both)} "
                "that it was fitted on.",
                "Fit it on other scans, or measure it on others.",
            )
