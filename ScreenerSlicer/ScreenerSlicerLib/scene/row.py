"""A row of the list of findings, as data. No MRML here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from ctscreener.findings import Finding
from ScreenerSlicerLib.process.screen_job import finding_of
from ScreenerSlicerLib.scene.place import Place
from ScreenerSlicerLib.scene.reviews import Verdict


@dataclass(frozen=True)
class Row:
    """One finding with its place and its review.

    Arguments:
        finding: What was measured.
        place: Where it is, in words; None where that is not known.
        verdict: `accepted`, `rejected`, `unsure`, or empty where nothing was decided.
        comment: What the reader wrote.
    """

    finding: Finding
    place: Place | None
    verdict: Verdict
    comment: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make a row of its JSON."""
        place = data["place"]
        return cls(
            finding_of(data["finding"]),
            Place(**place) if place else None,
            data["verdict"],
            data["comment"],
        )
