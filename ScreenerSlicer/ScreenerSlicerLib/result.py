"""A screening's result: the nodes that it left in the scene, found by what they refer to.

Nothing is held but the map. Whatever else belongs to it is looked up in the scene, so that a
scene that was saved and opened again gives the same result.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
import slicer

from ctscreener.errors import InputError
from ctscreener.findings import Finding, FindingSettings
from ctscreener.parts import found_by
from ctscreener.scan import Scan
from ScreenerSlicerLib.scene.beyond import Beyond
from ScreenerSlicerLib.scene.body_parts import parts_of
from ScreenerSlicerLib.scene.companions import FINDINGS, remove_companions
from ScreenerSlicerLib.scene.findings_content import SAME_MM
from ScreenerSlicerLib.scene.findings_table import FindingsTable
from ScreenerSlicerLib.scene.heat_map import HeatMap
from ScreenerSlicerLib.scene.navigation import Navigation
from ScreenerSlicerLib.scene.outline import Outline
from ScreenerSlicerLib.scene.place import Place
from ScreenerSlicerLib.scene.place_words import Body
from ScreenerSlicerLib.scene.region_statistics import Statistics, put_statistics, statistics_of
from ScreenerSlicerLib.scene.regions import regions_of
from ScreenerSlicerLib.scene.row import Row
from ScreenerSlicerLib.scene.scene_nodes import free_name, remove_with_display
from ScreenerSlicerLib.scene.segments import make_segments
from ScreenerSlicerLib.scene.side_by_side import SideBySide
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.study import put_into_study
from ScreenerSlicerLib.scene.volume import shared_scan_of, world_point
from ScreenerSlicerLib.translation import tr as _

SCAN = "ScreenerScan"
SEGMENTS, STATISTICS = "ScreenerSegments", "ScreenerStatistics"
"""Roles of the nodes that a map refers to; Slicer keeps them right when IDs change."""
PROVENANCE = "Screener.Provenance"


@final
class ScreenResult:
    """What came of one screening.

    Attributes:
        heat_map: The map and how it is shown.
        outline: The line of a second threshold.
        side_by_side: The bare scan beside the scan with the map.
        navigation: From finding to finding.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, logics: Logics, heat_map: HeatMap) -> None:
        self._scene = scene
        self._logics = logics
        self.heat_map = heat_map
        self.outline = Outline(scene, heat_map)
        self.side_by_side = SideBySide(scene, heat_map)
        self.navigation = Navigation(scene, self.map_node, lambda: self.rows)

    @classmethod
    def create(
        cls,
        scene: slicer.vtkMRMLScene,
        logics: Logics,
        scan_node: slicer.vtkMRMLScalarVolumeNode,
        rarity: np.ndarray,
        provenance: dict[str, Any],
        leaving: Sequence[slicer.vtkMRMLVolumeNode] = (),
    ) -> Self:
        """Add the map of a scan to the scene, with a list of findings that is still empty.

        Arguments:
            scene: Where to.
            logics: Slicer's logics on that scene.
            scan_node: The scan.
            rarity: Its map, `(D, H, W)`, NaN where not scored.
            provenance: What it comes from: plain JSON, kept with the map.
            leaving: Maps that this one replaces, whose names it may have.
        """
        wished = _("{scan} rarity").format(scan=scan_node.GetName())
        name = free_name(scene, wished, leaving)
        heat_map = HeatMap.create(scene, logics, rarity, scan_node, name)
        heat_map.node.SetAttribute(PROVENANCE, json.dumps(provenance))
        heat_map.node.SetNodeReferenceID(SCAN, scan_node.GetID())
        return cls(scene, logics, heat_map)

    @classmethod
    def all_in(cls, scene: slicer.vtkMRMLScene, logics: Logics) -> list[Self]:
        """Find the results of a scene, those of a scene that was opened included, oldest first."""
        return [cls(scene, logics, heat_map) for heat_map in HeatMap.all_in(scene, logics)]

    @property
    def map_node(self) -> slicer.vtkMRMLScalarVolumeNode:
        """The rarity map."""
        return self.heat_map.node

    @property
    def scan_node(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The scan that was screened; None once it was removed."""
        return self.map_node.GetNodeReference(SCAN)

    @property
    def table(self) -> FindingsTable:
        """The findings; an empty table where there is none or it was removed."""
        node = self.map_node.GetNodeReference(FINDINGS)
        if node is not None:
            return FindingsTable(self._scene, node)
        table = FindingsTable.create(self._scene, self._table_name)
        self.map_node.SetNodeReferenceID(FINDINGS, table.node.GetID())
        if self.scan_node is not None:
            put_into_study(self._scene, table.node, self.scan_node)
        return table

    @property
    def _table_name(self) -> str:
        return _("{map} findings").format(map=self.map_node.GetName())

    def take_place_of(self, earlier: Sequence[ScreenResult]) -> None:
        """Remove earlier results, and have their names."""
        for one in earlier:
            one.remove()
        self.table.node.SetName(self._table_name)

    @property
    def table_node(self) -> slicer.vtkMRMLTableNode:
        """The node of the findings."""
        return self.table.node

    @property
    def segmentation_node(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The segments that were made last; None where none were."""
        return self.map_node.GetNodeReference(SEGMENTS)

    @property
    def statistics_node(self) -> slicer.vtkMRMLTableNode | None:
        """What the segments hold; None where none were made."""
        return self.map_node.GetNodeReference(STATISTICS)

    @property
    def rows(self) -> list[Row]:
        """The findings with their places and reviews, rarest first."""
        return self.table.rows()

    @property
    def findings(self) -> list[Finding]:
        """The findings, rarest first."""
        return [row.finding for row in self.rows]

    @property
    def provenance(self) -> dict[str, Any]:
        """Model, hashes, parameters, device and seconds, as the engine told them."""
        return json.loads(self.map_node.GetAttribute(PROVENANCE) or "{}")

    @property
    def rarity(self) -> Scan:
        """The map, with rarities for HU, NaN where not scored; not to be written."""
        return shared_scan_of(self.map_node)

    @property
    def scan(self) -> Scan:
        """The scan, in the type in which its node holds it; not to be written.

        Raises:
            InputError: `scan.removed` or `scan.changed`.
        """
        node = self.scan_node
        if node is None:
            removed = _("Expected the scan of {name} in the scene, found it removed.")
            raise InputError(
                "scan.removed",
                removed.format(name=self.map_node.GetName()),
                _("Load the scan and screen it again."),
            )
        scan, rarity = shared_scan_of(node), self.rarity
        if scan.shape != rarity.shape or not np.allclose(scan.affine, rarity.affine, atol=SAME_MM):
            changed = _("Expected {name} on the grid on which it was screened, found another.")
            raise InputError(
                "scan.changed",
                changed.format(name=node.GetName()),
                _("Screen the volume again."),
            )
        return scan

    def remove(self) -> None:
        """Take the map, its list and all that shows it out of the scene.

        Segments and their table stay: someone may have edited them.
        """
        remove_companions(self._scene, self.map_node)
        remove_with_display(self._scene, self.map_node)

    def put_findings(
        self, findings: Sequence[Finding], settings: FindingSettings, beyond: Beyond = Beyond()
    ) -> None:
        """List findings, with their places, and colour the map from their threshold on.

        Arguments:
            findings: Those of this map.
            settings: What they were found with.
            beyond: What is not among them.
        """
        self.heat_map.set_threshold(settings.threshold)
        self.table.fill(findings, self.places_of(findings), self.rarity, settings, beyond)

    def places_of(self, findings: Sequence[Finding]) -> list[Place | None]:
        """Say where findings lie; None for each where nothing was scored."""
        body = Body.of(self.map_node)
        points = [world_point(self.map_node, one.peak_ras) for one in findings]
        return [body.place_of(point) if body else None for point in points]

    def find_again(self, settings: FindingSettings, all_parts: bool | None = None) -> None:
        """Find anew in the map as the engine would; no model is run.

        Arguments:
            settings: What counts as a finding.
            all_parts: List findings of arms, head and legs, too; as before when None.

        Raises:
            InputError: `scan.removed` or `scan.changed`; the list stays as it was.
        """
        every = self.table.beyond.all_parts if all_parts is None else all_parts
        parts = parts_of(self.map_node)
        found = found_by(self.rarity.hu, self.scan, parts, settings, every)
        beyond = Beyond(found.total, dict(found.elsewhere), every)
        self.put_findings(found.findings, settings, beyond)

    def make_segments(self, ranks: Sequence[int]) -> list[Statistics]:
        """Make segments of findings, and a table of what they hold.

        Segments that were made before stay as they are: someone may have edited them.

        Arguments:
            ranks: Of which findings, from 1.

        Returns:
            Statistics of each.

        Raises:
            InputError: `scan.removed` or `scan.changed`.
        """
        scan, rarity = self.scan, self.rarity.hu
        wanted = [one for one in self.findings if one.rank in ranks]
        regions = regions_of(wanted, rarity, self.table.settings.threshold)
        assert self.scan_node is not None, "there is a scan"
        name = _("{scan} anomalous regions").format(scan=self.scan_node.GetName())
        node = make_segments(self._scene, self._logics, regions, self.scan_node, name)
        self.map_node.SetNodeReferenceID(SEGMENTS, node.GetID())
        statistics = [statistics_of(region, rarity, scan) for region in regions]
        table = put_statistics(
            self._scene, statistics, _("{regions} statistics").format(regions=name)
        )
        self.map_node.SetNodeReferenceID(STATISTICS, table.GetID())
        put_into_study(self._scene, table, self.scan_node)
        return statistics
