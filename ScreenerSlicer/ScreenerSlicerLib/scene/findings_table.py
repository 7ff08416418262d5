"""The list of findings as a table node: saved with the scene, with what a reader said of each.

The table's columns are for reading. What counts is kept beside them as one JSON attribute, since
the files of tables keep six digits and neither quotes nor line breaks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Self, final

import numpy as np
import slicer
import vtk

from ctscreener.findings import NOTICE, Finding, FindingSettings
from ctscreener.scan import Scan
from ScreenerSlicerLib.scene.beyond import Beyond
from ScreenerSlicerLib.scene.findings_content import Content
from ScreenerSlicerLib.scene.place import Place
from ScreenerSlicerLib.scene.reviews import VERDICTS, Review, Verdict, carried_over
from ScreenerSlicerLib.scene.row import Row

CONTENT = "Screener.Findings"
"""The attribute that holds findings, settings and reviews; by it a table is known."""


@final
class FindingsTable:
    """The findings of one map.

    Arguments:
        scene: The scene of the table.
        node: A table that `create` has made, at any time before.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLTableNode) -> None:
        self._scene = scene
        self.node = node

    @classmethod
    def create(cls, scene: slicer.vtkMRMLScene, name: str) -> Self:
        """Add an empty table to the scene."""
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
        node.SetDescription(NOTICE)
        # Cells that are edited by hand in the Tables module would say what nobody reads.
        node.SetLocked(True)
        table = cls(scene, node)
        table._write(Content(FindingSettings(), [], [], [], [], np.eye(4)))
        return table

    def fill(
        self,
        findings: Sequence[Finding],
        places: Sequence[Place | None],
        rarity: Scan,
        settings: FindingSettings,
        beyond: Beyond = Beyond(),
    ) -> None:
        """Put findings in the place of those before; reviews stay with what was reviewed.

        A review whose finding is gone, because the threshold rose above it, is kept too and is
        back with it.

        Arguments:
            findings: Regions of the map, rarest first.
            places: Where each of them is.
            rarity: The map, with rarities for HU.
            settings: What they were found with.
            beyond: What is not among them.
        """
        reviews = self._read().on_grid(rarity.affine).reviews
        given = carried_over(reviews, findings, rarity.hu, settings.threshold)
        grid = rarity.affine
        self._write(Content(settings, list(findings), list(places), reviews, given, grid, beyond))

    def reviews_on(self, grid: np.ndarray) -> list[Review]:
        """Return all that was said of this map, its voxels counted on some grid.

        Arguments:
            grid: Voxel `(d, h, w, 1)` to RAS mm of the same voxels, `(4, 4)`.
        """
        return self._read().on_grid(grid).reviews

    def put(
        self,
        findings: Sequence[Finding],
        places: Sequence[Place | None],
        grid: np.ndarray,
        settings: FindingSettings,
        reviews: tuple[list[Review], list[Review | None]],
        beyond: Beyond = Beyond(),
    ) -> None:
        """Put findings with their reviews in the place of all before.

        Arguments:
            findings: Regions of the map, rarest first.
            places: Where each of them is.
            grid: Voxel `(d, h, w, 1)` of the map to RAS mm, `(4, 4)`.
            settings: What they were found with.
            reviews: What `reviews.brought_over` returned.
            beyond: What is not among them.
        """
        known, given = reviews
        self._write(Content(settings, list(findings), list(places), known, given, grid, beyond))

    def rows(self) -> list[Row]:
        """Return the findings with their reviews, rarest first."""
        content = self._read()
        return [
            Row(one, place, review.verdict, review.comment) if review else Row(one, place, "", "")
            for one, place, review in zip(
                content.findings, content.places, content.given, strict=True
            )
        ]

    @property
    def settings(self) -> FindingSettings:
        """What the findings were found with."""
        return self._read().settings

    @property
    def beyond(self) -> Beyond:
        """What is not among the findings."""
        return self._read().beyond

    def review(self, rank: int, verdict: Verdict, comment: str = "") -> None:
        """Say what a finding is to the reader, in place of what was said of it before.

        Arguments:
            rank: Which finding, from 1.
            verdict: `accepted`, `rejected`, `unsure`, or empty to decide nothing.
            comment: Any text.

        Raises:
            ValueError: There is no such finding, or no such verdict.
        """
        content = self._read()
        if not 1 <= rank <= len(content.findings) or verdict not in VERDICTS:
            raise ValueError(
                f"Expected a rank from 1 to {len(content.findings)} and a verdict of {VERDICTS}, "
                f"got {rank} and {verdict!r}."
            )
        one = content.findings[rank - 1]
        review = Review(one.peak_index, one.peak_ras, verdict, comment)
        others = [other for other in content.reviews if other.peak_index != one.peak_index]
        given = [*content.given[: rank - 1], review, *content.given[rank:]]
        self._write(replace(content, reviews=[*others, review], given=given))

    def restore(self, rarity: Scan) -> None:
        """Make good what a file did: columns have lost digits, and voxels may count otherwise.

        Arguments:
            rarity: The map as it came from the file, with rarities for HU.
        """
        self._write(self._read().on_grid(rarity.affine))

    def _read(self) -> Content:
        return Content.from_json(json.loads(self.node.GetAttribute(CONTENT)))

    def _write(self, content: Content) -> None:
        modifying = self.node.StartModify()
        self.node.SetAttribute(CONTENT, json.dumps(content.to_json()))
        self.node.RemoveAllColumns()
        for column in _columns(self.rows()):
            self.node.AddColumn(column)
        self.node.EndModify(modifying)


def _columns(rows: Sequence[Row]) -> list[vtk.vtkAbstractArray]:
    """Lay rows out for readers: numbers rounded, units in the names."""
    found = [row.finding for row in rows]
    places = [row.place for row in rows]
    return [
        _numbers("Finding", [one.rank for one in found]),
        _numbers("Peak rarity", [round(one.peak_rarity, 2) for one in found]),
        _numbers("Mean rarity", [round(one.mean_rarity, 2) for one in found]),
        _numbers("Volume (ml)", [round(one.volume_ml, 2) for one in found]),
        _numbers("Diameter (mm)", [round(one.diameter_mm, 1) for one in found]),
        _numbers("Mean HU", [round(one.mean_hu, 1) for one in found]),
        _texts("Side", [place.side if place else "" for place in places]),
        _texts("Level", [place.level if place else "" for place in places]),
        _texts("Verdict", [row.verdict for row in rows]),
        _texts("Comment", [_one_line(row.comment) for row in rows]),
    ]


def _numbers(name: str, values: Sequence[float]) -> vtk.vtkDoubleArray:
    column = vtk.vtkDoubleArray()
    column.SetName(name)
    for value in values:
        column.InsertNextValue(value)
    return column


def _texts(name: str, values: Sequence[str]) -> vtk.vtkStringArray:
    column = vtk.vtkStringArray()
    column.SetName(name)
    for value in values:
        column.InsertNextValue(value)
    return column


def _one_line(comment: str) -> str:
    """A comment without what would take a table's file apart."""
    return " ".join(comment.split()).translate({ord('"'): "'", ord("#"): "\uff03"})
