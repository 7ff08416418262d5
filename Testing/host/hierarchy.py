"""Items of the subject hierarchy, which Qt plugins of the application make for data nodes."""

from typing import final

import slicer
import vtk

SHOWN = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLTransformNode",
)
"""Classes of nodes that get an item."""


@final
class HierarchyItems:
    """Keeps one item in the subject hierarchy for every data node of a scene."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        events = {
            slicer.vtkMRMLScene.NodeAddedEvent: self._on_added,
            slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent: self._on_removed,
            slicer.vtkMRMLScene.EndImportEvent: self._on_imported,
        }
        self._tags = [scene.AddObserver(event, method) for event, method in events.items()]

    def close(self) -> None:
        """Look at the scene no longer."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, scene: slicer.vtkMRMLScene, _: int, node: slicer.vtkMRMLNode) -> None:
        if not scene.IsBatchProcessing():
            self._add(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removed(self, _: slicer.vtkMRMLScene, __: int, node: slicer.vtkMRMLNode) -> None:
        # Asking for the hierarchy makes one, which is no good while the scene is being closed.
        if self._scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _on_imported(self, scene: slicer.vtkMRMLScene, _: str) -> None:
        for index in range(scene.GetNumberOfNodes()):
            self._add(scene.GetNthNode(index))

    def _add(self, node: slicer.vtkMRMLNode | None) -> None:
        if node is None or node.GetHideFromEditors() or not any(map(node.IsA, SHOWN)):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
