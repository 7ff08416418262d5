"""The outline of a second threshold, to compare: rare in colour, rarer still within a line."""

from __future__ import annotations

from typing import final

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.scene.heat_map import BARE, LAYERS, HeatMap
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class, remove_with_display
from ScreenerSlicerLib.scene.volume import shared_scan_of
from ScreenerSlicerLib.translation import tr as _

OUTLINE = "ScreenerOutline"
"""The role of the node that a map refers to."""
COLOURS = "vtkMRMLColorTableNodeLabels"
PALE_CYAN = 7
"""The number of a colour in Slicer's own table that no rarity has and that shows on any grey."""


@final
class Outline:
    """A line around the voxels of a map at or above a threshold, in all slice views.

    It takes the label layer of the views, and leaves it empty when it goes.

    Arguments:
        scene: The scene of the map.
        heat_map: The map.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, heat_map: HeatMap) -> None:
        self._scene = scene
        self._map_node = heat_map.node

    @property
    def node(self) -> slicer.vtkMRMLLabelMapVolumeNode | None:
        """What is outlined; None where nothing is."""
        return self._map_node.GetNodeReference(OUTLINE)

    def show(self, rarity: float) -> bool:
        """Outline what is at least this rare, in place of what was outlined before.

        Returns:
            Whether there is anything so rare; else there is no line to be seen.
        """
        node = self.node or self._make()
        image = _label_image(shared_scan_of(self._map_node).hu, rarity)
        node.SetAndObserveImageData(image)
        for layers in nodes_of_class(self._scene, LAYERS):
            if not layers.GetAttribute(BARE):
                layers.SetLabelVolumeID(node.GetID())
                layers.SetLabelOpacity(1.0)
        for view in nodes_of_class(self._scene, "vtkMRMLSliceNode"):
            view.SetUseLabelOutline(True)
        return image.GetScalarRange()[1] > 0

    def hide(self) -> None:
        """Take the line away, and what it was drawn from."""
        node = self.node
        if node is None:
            return
        for layers in nodes_of_class(self._scene, LAYERS):
            if layers.GetLabelVolumeID() == node.GetID():
                layers.SetLabelVolumeID(None)
        remove_with_display(self._scene, node)

    def _make(self) -> slicer.vtkMRMLLabelMapVolumeNode:
        """Add a label map on the grid of the map."""
        node = slicer.vtkMRMLLabelMapVolumeNode()
        name = _("{map} outline").format(map=self._map_node.GetName())
        node.SetName(self._scene.GenerateUniqueName(name))
        node.SetDescription(NOTICE)
        matrix = vtk.vtkMatrix4x4()
        self._map_node.GetIJKToRASMatrix(matrix)
        node.SetIJKToRASMatrix(matrix)
        self._scene.AddNode(node)
        node.SetAndObserveTransformNodeID(self._map_node.GetTransformNodeID())
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAndObserveColorNodeID(COLOURS)
        self._map_node.SetNodeReferenceID(OUTLINE, node.GetID())
        return node


def _label_image(rarity: np.ndarray, threshold: float) -> vtk.vtkImageData:
    """The voxels at or above a threshold as an image of labels."""
    labels = (rarity >= threshold).view(np.uint8) * np.uint8(PALE_CYAN)
    image = vtk.vtkImageData()
    image.SetDimensions(*rarity.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(labels.reshape(-1), deep=False))
    return image
