"""The frames of a CT that moves, each a scan, and their maps as frames in step with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import slicer

from ctscreener.errors import InputError
from ctscreener.findings import NOTICE
from ScreenerSlicerLib.scene.heat_map import HeatMap, colour_by_rarity
from ScreenerSlicerLib.scene.rarity_colours import rarity_colours
from ScreenerSlicerLib.scene.scans import is_scan
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import fill_map, shared_scan_of
from ScreenerSlicerLib.translation import tr as _

MAPS = "ScreenerMaps"
"""The role of the sequence of maps that a sequence of scans refers to."""


@final
@dataclass(frozen=True)
class Frames:
    """The frames of a sequence that a browser goes through.

    Arguments:
        logics: Slicer's logics.
        browser: The browser.
        sequence: The sequence of scans.
    """

    logics: Logics
    browser: slicer.vtkMRMLSequenceBrowserNode
    sequence: slicer.vtkMRMLSequenceNode

    @property
    def names(self) -> list[str]:
        """What each frame is called."""
        name, sequence = self.sequence.GetName(), self.sequence
        values = [sequence.GetNthIndexValue(n) for n in range(sequence.GetNumberOfDataNodes())]
        return [_("{scan}, frame {value}").format(scan=name, value=value) for value in values]

    def scan_node(self, number: int) -> slicer.vtkMRMLScalarVolumeNode | None:
        """Return a frame, counted from 0; None where the sequence or the frame is gone."""
        if self.sequence.GetScene() is None:
            return None
        node = self.sequence.GetNthDataNode(number)
        return node if node is not None and is_scan(node) else None

    def go_to(self, number: int) -> bool:
        """Let the browser show a frame, counted from 0; returns whether it is there."""
        if self.scan_node(number) is None or self.browser.GetScene() is None:
            return False
        self.browser.SetSelectedItemNumber(number)
        return True

    def put_map(self, number: int, rarity: np.ndarray) -> None:
        """Put the map of a frame beside it; nothing where the sequence is gone.

        Arguments:
            number: The frame, from 0.
            rarity: Its map, `(D, H, W)`, NaN where not scored.

        Raises:
            InputError: `scan.changed`: the frame has other voxels than were screened.
        """
        scan = self.scan_node(number)
        if scan is None or self.logics.sequences is None:
            return
        if shared_scan_of(scan).shape != rarity.shape:
            changed = _("Expected {name} as it was screened, found it changed.")
            raise InputError(
                "scan.changed",
                changed.format(name=self.names[number]),
                _("Screen the frames again."),
            )
        node = slicer.vtkMRMLScalarVolumeNode()
        fill_map(node, rarity, scan)
        node.SetDescription(NOTICE)
        maps = self.sequence.GetNodeReference(MAPS)
        if maps is None:
            maps = self._new_sequence()
        maps.SetDataNodeAtValue(node, self.sequence.GetNthIndexValue(number))
        if self.browser.GetScene() is not None:
            self._show(maps)

    def _new_sequence(self) -> slicer.vtkMRMLSequenceNode:
        scene = self.sequence.GetScene()
        name = _("{scan} rarity").format(scan=self.sequence.GetName())
        maps = scene.AddNewNodeByClass("vtkMRMLSequenceNode", scene.GenerateUniqueName(name))
        maps.SetIndexName(self.sequence.GetIndexName())
        maps.SetIndexUnit(self.sequence.GetIndexUnit())
        maps.SetIndexType(self.sequence.GetIndexType())
        self.sequence.SetNodeReferenceID(MAPS, maps.GetID())
        return maps

    def _show(self, maps: slicer.vtkMRMLSequenceNode) -> None:
        """Let the browser go through the maps too, over the scan."""
        known = self.browser.GetProxyNode(maps)
        if known is None:
            self.browser.AddSynchronizedSequenceNode(maps)
        assert self.logics.sequences is not None, "asked before"
        self.logics.sequences.UpdateProxyNodesFromSequences(self.browser)
        proxy = self.browser.GetProxyNode(maps)
        if known is None and proxy is not None:
            proxy.SetName(maps.GetName())
            scene = maps.GetScene()
            colour_by_rarity(proxy.GetDisplayNode(), rarity_colours(scene, self.logics))
            HeatMap(scene, self.logics, proxy).show(self.browser.GetProxyNode(self.sequence))


def frames_of(logics: Logics, scan_node: slicer.vtkMRMLScalarVolumeNode | None) -> Frames | None:
    """Find the frames that a volume shows one of; None where it is no frame.

    Arguments:
        logics: Slicer's logics.
        scan_node: A volume, such as the one that a browser changes from frame to frame.
    """
    if scan_node is None or logics.sequences is None:
        return None
    browser = logics.sequences.GetFirstBrowserNodeForProxyNode(scan_node)
    sequence = browser.GetSequenceNode(scan_node) if browser else None
    return Frames(logics, browser, sequence) if sequence else None
