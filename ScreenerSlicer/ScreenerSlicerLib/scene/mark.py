"""The mark of the finding that is looked at: a thin box around it, in the slices and in 3D."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, final

import numpy as np
import slicer

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class, remove_with_display
from ScreenerSlicerLib.scene.volume import affine_of, world_points
from ScreenerSlicerLib.translation import tr as _

if TYPE_CHECKING:
    from ctscreener.findings import Finding

MARK = "Screener.Mark"
"""The attribute by which it is known; it names the map."""
ROI = "vtkMRMLMarkupsROINode"
MARGIN_MM = 4.0
COLOUR = (0.45, 0.95, 1.0)
"""A pale cyan, which no rarity has and which shows on any grey."""
OUTLINE = 0.6
GLYPH = 0.01


@final
class Mark:
    """One mark in a scene; it cannot be grasped, is in no list, and is not saved.

    Arguments:
        scene: Any.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene

    @property
    def node(self) -> slicer.vtkMRMLMarkupsROINode | None:
        """The mark; None where nothing is marked."""
        found = nodes_of_class(self._scene, ROI)
        return next((one for one in found if one.GetAttribute(MARK)), None)

    def put(self, map_node: slicer.vtkMRMLScalarVolumeNode, finding: Finding) -> None:
        """Mark a finding, in the place of what was marked before.

        Arguments:
            map_node: Its map, under any transform.
            finding: Which.
        """
        low, high = _bounds(map_node, finding)
        node = self.node or self._make()
        modifying = node.StartModify()
        node.SetAttribute(MARK, map_node.GetID())
        node.SetCenterWorld(*((low + high) / 2).tolist())
        node.SetSizeWorld(*(high - low).tolist())
        node.EndModify(modifying)

    def remove(self, map_node: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Mark nothing of a map."""
        node = self.node
        if node is not None and node.GetAttribute(MARK) == map_node.GetID():
            remove_with_display(self._scene, node)

    def _make(self) -> slicer.vtkMRMLMarkupsROINode:
        node = slicer.vtkMRMLMarkupsROINode()
        node.SetName(_("Screener: this finding"))
        node.SetDescription(NOTICE)
        node.SetAttribute(MARK, "none")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetLocked(True)
        self._scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetFillVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
        display.SetHandlesInteractive(False)
        display.SetUseGlyphScale(True)
        display.SetGlyphScale(GLYPH)
        display.SetOutlineOpacity(OUTLINE)
        display.SetColor(*COLOUR)
        display.SetSelectedColor(*COLOUR)
        return node


def _bounds(
    map_node: slicer.vtkMRMLScalarVolumeNode, finding: Finding
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest corner of a straight box around a finding, RAS mm in the world."""
    ends = np.array([finding.box_min, finding.box_max]) + [[-0.5], [0.5]]
    affine = affine_of(map_node)
    corners = np.array(
        [[ends[i, 0], ends[j, 1], ends[k, 2]] for i, j, k in product((0, 1), repeat=3)]
    )
    world = world_points(map_node, corners @ affine[:3, :3].T + affine[:3, 3])
    return world.min(axis=0) - MARGIN_MM, world.max(axis=0) + MARGIN_MM
