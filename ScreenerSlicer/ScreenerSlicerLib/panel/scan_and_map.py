"""Scan and map, which are chosen one by one and belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import slicer

from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode
from ScreenerSlicerLib.result import SCAN, ScreenResult
from ScreenerSlicerLib.scene.scans import is_scan


@final
class ScanAndMap:
    """Lets the one that was chosen last bring the other.

    Arguments:
        results: Returns all results of the scene, oldest first.
    """

    def __init__(self, results: Callable[[], Sequence[ScreenResult]]) -> None:
        self._results = results
        self._before: tuple[slicer.vtkMRMLNode | None, ...] = (None, None)

    def forget(self) -> None:
        """Take what comes next for chosen now, such as what a scene brings."""
        self._before = (None, None)

    def agree(self, parameters: ScreenerSlicerParameterNode) -> None:
        """Choose the newest map of a scan that was chosen, or the scan of a map."""
        scan, node = parameters.inputVolume, parameters.anomalyMap
        before, self._before = self._before, (scan, node)
        of_map = node.GetNodeReference(SCAN) if node else None
        # What is no scan is refused by the card, and takes nothing away.
        if scan is of_map or (scan is not None and not is_scan(scan)):
            return
        if scan is not None and scan is not before[0]:
            found = [one for one in self._results() if one.scan_node is scan]
            parameters.anomalyMap = found[-1].map_node if found else None
        elif node is not before[1] and of_map is not None:
            parameters.inputVolume = of_map
        self._before = (parameters.inputVolume, parameters.anomalyMap)
