"""Results of several models on scans of their own, as one: those of all folds of a run.

Each scan is measured by the model of its fold, which saw nothing of its patient. Findings and
lesions are counts, which add up over folds as over scans. Voxels do not: scores of other networks
are on another scale, so that areas are means over scans.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

import numpy as np

from ctscreener.errors import InputError
from training.evaluation.intervals import Scans, plain
from training.evaluation.rarities import THRESHOLDS, Rarities, rarity_summary
from training.evaluation.results import Interval, Part, Promise, Results
from training.evaluation.summary import AREAS

FORMAT, FORMAT_VERSION = "ctscreener-pooled", 1
SAME = ("measuring", "parameters", "resamples")
"""What has to be the same in all results for their scans to be counted together."""


class Counted(TypedDict):
    """Findings and lesions at one rarity, over all scans; see `rarities.Rarities`."""

    rarity: int
    findings: int
    met: int
    listed: int
    listed_met: int


class PooledPromise(Promise):
    """What the rarities of one set are worth, with the counts over all of its scans."""

    counted: list[Counted]


class PooledSet(TypedDict):
    """Means over the scans of one set by one protocol: of each score, by name of the area."""

    set: str
    protocol: str
    family: str | None
    inserted: bool
    scans: int
    patients: int
    regions: int
    scores: dict[str, dict[str, Interval]]


class Pooled(TypedDict):
    """All of it, ready for JSON."""

    format: str
    format_version: int
    software: dict[str, Any]
    models: list[dict[str, Any]]
    parameters: dict[str, Any]
    measuring: dict[str, Any]
    resamples: int
    sets: list[PooledSet]
    rarities: list[PooledPromise]


def pool(results: Sequence[Results]) -> Pooled:
    """Put results together, scan by scan.

    Arguments:
        results: Of models that were measured alike, each on scans of its own; at least one.

    Raises:
        InputError: `tables.pool` where they were measured differently, or share a scan.
    """
    check(results)
    first = results[0]
    parts = _grouped((p["set"], p["protocol"], p) for one in results for p in one["sets"])
    promises = _grouped((p["set"], "", p) for one in results for p in one["rarities"])
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "software": first["software"],
        "models": [one["model"] for one in results],
        "parameters": first["parameters"],
        "measuring": first["measuring"],
        "resamples": first["resamples"],
        "sets": [_set(some, first) for some in parts],
        "rarities": [_promise(some, first) for some in promises],
    }


def check(results: Sequence[Results]) -> None:
    """Refuse results whose scans cannot be counted together.

    Raises:
        InputError: `tables.pool`.
    """
    for name in SAME:
        if any(one.get(name) != results[0].get(name) for one in results):
            raise _unlike(f"the same {name} in all results", "others", "the same options")
    promises = [promise for one in results for promise in one["rarities"]]
    scans = [(promise["set"], scan) for promise in promises for scan in promise["each"]]
    if any("listed" not in scan for _, scan in scans):
        raise _unlike("counts of listed findings", "results of an earlier version", "this version")
    names = [(part, scan["name"]) for part, scan in scans]
    if twice := next((one for one in names if names.count(one) > 1), None):
        raise _unlike(
            "each scan in one of the results", f"{twice[1]} of {twice[0]} in two", "other scans"
        )
    for some in _grouped((p["set"], p["protocol"], p) for one in results for p in one["sets"]):
        if any(part["scores"].keys() != some[0]["scores"].keys() for part in some):
            raise _unlike("the same scores in all results", "others", "the same --scores")


def _unlike(expected: str, found: str, action: str) -> InputError:
    return InputError(
        "tables.pool",
        f"Expected {expected} to pool them, found {found}.",
        f"Run the stage `evaluate` with {action}, or leave out --pool.",
    )


def _grouped(parts: Iterator[tuple[str, str, Any]]) -> list[list[Any]]:
    """What belongs to the same set and protocol, in the order in which they come."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for name, protocol, part in parts:
        groups.setdefault((name, protocol), []).append(part)
    return list(groups.values())


def _set(parts: Sequence[Part], first: Results) -> PooledSet:
    """Means over the scans of all parts of one set."""
    scans = [scan for part in parts for scan in part["scans"]]
    patients = [scan["patient"] for scan in scans]
    # Areas of single scans alone are averaged: no voxel is needed.
    each = Scans.of([np.zeros((3, 0))] * len(scans), patients)
    # The same draws for every score, as where one model measures all scans.
    draws = each.draws(first["resamples"], np.random.default_rng(first["measuring"]["seed"]))

    def mean(area: str, score: str) -> Interval:
        values = [scan[area][score] for scan in scans]
        numbers = np.array([np.nan if value is None else value for value in values], float)
        return plain(each.mean(numbers, draws))

    return {
        "set": parts[0]["set"],
        "protocol": parts[0]["protocol"],
        "family": parts[0]["family"],
        "inserted": parts[0]["inserted"],
        "scans": len(scans),
        "patients": len(set(patients)),
        "regions": sum(part["regions"] for part in parts),
        "scores": {
            score: {area: mean(area, score) for area in AREAS} for score in parts[0]["scores"]
        },
    }


def _promise(promises: Sequence[Promise], first: Results) -> PooledPromise:
    """What rarities are worth over the scans of all parts of one set."""
    each = [scan for promise in promises for scan in promise["each"]]
    scans = [Rarities.from_plain(scan) for scan in each]
    rng = np.random.default_rng(first["measuring"]["seed"])
    seen = [promise["seen"] for promise in promises]
    known = None if None in seen else [one for one in seen if one is not None]
    stages = dict.fromkeys(stage for one in known or () for stage in one)
    return {
        "set": promises[0]["set"],
        **rarity_summary(scans, [scan["patient"] for scan in each], first["resamples"], rng),
        "seen": None
        if known is None
        else {stage: sum(one.get(stage, 0) for one in known) for stage in stages},
        "each": each,
        "counted": [_counted(scans, k) for k in range(len(THRESHOLDS))],
    }


def _counted(scans: Sequence[Rarities], k: int) -> Counted:
    """Sums over scans at one of `THRESHOLDS`."""
    return {
        "rarity": THRESHOLDS[k],
        "findings": sum(int(one.findings[k]) for one in scans),
        "met": sum(int(one.met[k]) for one in scans),
        "listed": sum(int(one.listed[k]) for one in scans),
        "listed_met": sum(int(one.listed_met[k]) for one in scans),
    }
