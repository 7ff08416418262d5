"""What a list of findings holds, as JSON and back, on whichever grid the map has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from ctscreener.findings import NOTICE, Finding, FindingSettings, Index
from ScreenerSlicerLib.scene.beyond import Beyond
from ScreenerSlicerLib.scene.place import Place
from ScreenerSlicerLib.scene.reviews import Review

SAME_MM = 1e-3
"""Files keep places a little less exactly than memory does."""
MOST_BEFORE = 50
"""Findings that were listed at most where a scene or a result does not say."""


@dataclass(frozen=True)
class Content:
    """Findings and reviews of one map.

    Arguments:
        settings: What the findings were found with.
        findings: Rarest first.
        places: Where each of them is; None where that is not known.
        reviews: All that was ever said of this map, findings that are gone included.
        given: The review of each finding; None where there is none.
        grid: Voxel `(d, h, w, 1)` of the map to RAS mm, `(4, 4)`, by which indices count.
        beyond: What is not among the findings.
    """

    settings: FindingSettings
    findings: list[Finding]
    places: list[Place | None]
    reviews: list[Review]
    given: list[Review | None]
    grid: np.ndarray
    beyond: Beyond = Beyond()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "notice": NOTICE,
            "settings": asdict(self.settings),
            "findings": [asdict(one) for one in self.findings],
            "places": [asdict(one) if one else None for one in self.places],
            "reviews": [asdict(one) for one in self.reviews],
            "given": [self.reviews.index(one) if one else None for one in self.given],
            "grid": self.grid.tolist(),
            "beyond": asdict(self.beyond),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Take what `to_json` returned."""
        reviews = [Review(**_tuples(one)) for one in data["reviews"]]
        return cls(
            FindingSettings(**{"most": MOST_BEFORE, **data["settings"]}),
            [Finding(**_tuples(one)) for one in data["findings"]],
            [Place(**one) if one else None for one in data["places"]],
            reviews,
            [None if index is None else reviews[index] for index in data["given"]],
            np.array(data["grid"]),
            # Scenes of before do not say.
            Beyond(**data.get("beyond", {})),
        )

    def on_grid(self, grid: np.ndarray) -> Self:
        """Count voxels along other axes: Slicer reads a left-handed volume as a right-handed one.

        Arguments:
            grid: Voxel `(d, h, w, 1)` to RAS mm of the same voxels, `(4, 4)`.
        """
        if np.allclose(self.grid, grid, atol=SAME_MM):
            return self
        turn = np.linalg.inv(grid) @ self.grid

        def moved(index: Index) -> Index:
            d, h, w = np.rint(turn[:3, :3] @ index + turn[:3, 3]).astype(int).tolist()
            return d, h, w

        reviews = [replace(one, peak_index=moved(one.peak_index)) for one in self.reviews]
        return replace(
            self,
            findings=[_moved_finding(one, moved) for one in self.findings],
            reviews=reviews,
            given=[reviews[self.reviews.index(one)] if one else None for one in self.given],
            grid=grid,
        )


def _moved_finding(one: Finding, moved: Callable[[Index], Index]) -> Finding:
    """The same finding, its voxels counted otherwise."""
    ends = np.array([moved(one.box_min), moved(one.box_max)])
    (d0, h0, w0), (d1, h1, w1) = ends.min(axis=0).tolist(), ends.max(axis=0).tolist()
    return replace(
        one, peak_index=moved(one.peak_index), box_min=(d0, h0, w0), box_max=(d1, h1, w1)
    )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where our records have tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
