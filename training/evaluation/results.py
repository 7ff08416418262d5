"""What `results.json` holds: its keys and types, for those that write it and those that read it."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict


class Interval(TypedDict):
    """A number with its 95% confidence interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Level(TypedDict):
    """What one rarity is worth: the share of voxels at or above it, and from 2 on its findings."""

    rarity: int
    promised: float
    share: Interval
    findings: NotRequired[Interval]
    met: NotRequired[Interval | None]
    listed: NotRequired[Interval]
    listed_met: NotRequired[Interval | None]


class Rarities(TypedDict):
    """What rarities are worth over several scans."""

    scans: int
    patients: int
    lesions: int
    levels: list[Level]


class Promise(Rarities):
    """The same of one set, with how many of its scans each stage of the model saw."""

    set: str
    seen: dict[str, int] | None
    each: list[dict[str, Any]]


Score = Mapping[str, Any]
"""All numbers of one score: metrics by name, each a mapping of kinds, most of them `Interval`."""


class Part(TypedDict):
    """What was measured on one set by one protocol."""

    set: str
    protocol: str
    family: str | None
    inserted: bool
    label: int | None
    others: str
    patients: int
    regions: int
    scores: dict[str, Score]
    scans: list[dict[str, Any]]


class Results(TypedDict):
    """All of it."""

    format: str
    format_version: int
    software: dict[str, Any]
    model: dict[str, Any]
    parameters: dict[str, Any]
    method: dict[str, Any]
    torch: str
    measuring: dict[str, Any]
    resamples: int
    baselines: dict[str, str]
    sets: list[Part]
    rarities: list[Promise]
    skipped: Sequence[Any]
    table: NotRequired[str]
