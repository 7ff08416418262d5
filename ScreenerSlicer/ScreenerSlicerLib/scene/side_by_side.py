"""The bare scan beside the scan with its map, in step with each other: one look compares them.

Slicer's layout of two slice views shows Red and Yellow. What they were before is written on their
nodes, so that a scene that was saved so can be put back after it was opened again.
"""

from __future__ import annotations

import json
from typing import final

import slicer

from ScreenerSlicerLib.scene.heat_map import BARE, LAYERS, HeatMap
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class

LEFT, RIGHT = "Red", "Yellow"
VIEW, ARRANGEMENT = "Screener.ViewBefore", "Screener.ArrangementBefore"
LINKED = "Screener.LinkedBefore"


@final
class SideBySide:
    """Two slice views of the same place: the scan on the left, the map on it on the right.

    Arguments:
        scene: The scene of the views.
        heat_map: The map.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, heat_map: HeatMap) -> None:
        self._scene = scene
        self._heat_map = heat_map

    @property
    def shown(self) -> bool:
        """Whether the views are so."""
        left = self._layers(LEFT)
        return left is not None and bool(left.GetAttribute(BARE))

    def show(self) -> None:
        """Show two views side by side; does nothing where there are no views, or they are so."""
        left, right = self._layers(LEFT), self._layers(RIGHT)
        layout = self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if left is None or right is None or layout is None or self.shown:
            return
        layout.SetAttribute(ARRANGEMENT, str(layout.GetViewArrangement()))
        for layers in (left, right):
            linked = f"{layers.GetLinkedControl():d} {layers.GetHotLinkedControl():d}"
            layers.SetAttribute(LINKED, linked)
        left.SetAttribute(BARE, "1")
        left.SetForegroundVolumeID(None)
        left.SetLabelVolumeID(None)
        right.SetBackgroundVolumeID(left.GetBackgroundVolumeID())
        self._heat_map.show(None)
        self._turn_right()
        layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
        for layers in (left, right):
            layers.SetLinkedControl(True)
            layers.SetHotLinkedControl(True)
        self._look_at_legend()

    def hide(self) -> None:
        """Put the views back as they were before; does nothing where they are."""
        left, right = self._layers(LEFT), self._layers(RIGHT)
        layout = self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if left is None or right is None or layout is None or not self.shown:
            return
        left.SetAttribute(BARE, None)
        for layers in (left, right):
            linked, hot = (layers.GetAttribute(LINKED) or "0 0").split()
            layers.SetLinkedControl(int(linked))
            layers.SetHotLinkedControl(int(hot))
        if self._heat_map.node.GetScene() is self._scene:
            self._heat_map.show(None)
        left.SetLabelVolumeID(right.GetLabelVolumeID())
        left.SetLabelOpacity(right.GetLabelOpacity())
        self._turn_back()
        layout.SetViewArrangement(int(layout.GetAttribute(ARRANGEMENT) or 0))
        self._look_at_legend()

    def _look_at_legend(self) -> None:
        """Let each view show the legend where it shows the map, and nowhere else."""
        if self._heat_map.node.GetScene() is self._scene and self._heat_map.legend_shown:
            self._heat_map.legend(True)

    def _turn_right(self) -> None:
        """Let the right view look where the left one does, as near."""
        left, right = self._view(LEFT), self._view(RIGHT)
        way = [right.GetSliceToRAS().GetElement(i, j) for i in range(4) for j in range(4)]
        before = {
            "way": way,
            "view": right.GetFieldOfView(),
            "name": right.GetOrientation(),
            "place": self._crosshair(),
        }
        right.SetAttribute(VIEW, json.dumps(before))
        right.SetOrientation(left.GetOrientation())
        right.GetSliceToRAS().DeepCopy(left.GetSliceToRAS())
        right.SetFieldOfView(*left.GetFieldOfView())
        right.UpdateMatrices()

    def _turn_back(self) -> None:
        """Let the right view look as before, or at the finding that the reader went to since."""
        view = self._view(RIGHT)
        before = json.loads(view.GetAttribute(VIEW) or "{}")
        if before:
            view.SetOrientation(before["name"])
            view.GetSliceToRAS().DeepCopy(before["way"])
            view.SetFieldOfView(*before["view"])
            view.UpdateMatrices()
            if before["place"] != self._crosshair():
                view.JumpSliceByCentering(*self._crosshair())

    def _crosshair(self) -> list[float]:
        """The place that was gone to last, RAS mm."""
        crosshair = self._scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        return list(crosshair.GetCrosshairRAS()) if crosshair else [0.0, 0.0, 0.0]

    def _layers(self, name: str) -> slicer.vtkMRMLSliceCompositeNode | None:
        found = nodes_of_class(self._scene, LAYERS)
        return next((one for one in found if one.GetLayoutName() == name), None)

    def _view(self, name: str) -> slicer.vtkMRMLSliceNode:
        found = nodes_of_class(self._scene, "vtkMRMLSliceNode")
        return next(one for one in found if one.GetLayoutName() == name)
