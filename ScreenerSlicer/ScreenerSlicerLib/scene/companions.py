"""What belongs to a map goes with it, whoever removes it: without it they would be ghosts."""

from __future__ import annotations

import weakref
from typing import Any

import slicer
import vtk

from ScreenerSlicerLib.scene import heat_map
from ScreenerSlicerLib.scene.legend import LEGEND
from ScreenerSlicerLib.scene.mark import Mark
from ScreenerSlicerLib.scene.outline import OUTLINE
from ScreenerSlicerLib.scene.rendering import BODY, RENDERED
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class, remove_with_display

FINDINGS = "ScreenerFindings"
"""The role of the table of findings that a map refers to."""


def watch(scene: slicer.vtkMRMLScene, watcher: object) -> None:
    """Look at what is removed from a scene, as long as somebody is there.

    Arguments:
        scene: Any.
        watcher: With it the watch ends; the scene may end before.
    """
    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, _on_going)
    weakref.finalize(watcher, _stop, weakref.ref(scene), tag).atexit = False


def _stop(scene: weakref.ref[slicer.vtkMRMLScene], tag: int) -> None:
    there = scene()
    if there is not None:
        there.RemoveObserver(tag)


def remove_companions(
    scene: slicer.vtkMRMLScene, map_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Remove table, outline, legend, what is drawn in 3D, and the mark of a map that goes.

    Segments and their table stay: someone may have edited them.

    Arguments:
        scene: The scene of the map.
        map_node: The map, still in the scene.
    """
    Mark(scene).remove(map_node)
    outline = map_node.GetNodeReference(OUTLINE)
    for layers in nodes_of_class(scene, heat_map.LAYERS):
        if outline is not None and layers.GetLabelVolumeID() == outline.GetID():
            layers.SetLabelVolumeID(None)
    own, copy = map_node.GetNodeReference(LEGEND), map_node.GetNodeReference(RENDERED)
    going: list[Any] = [map_node.GetNodeReference(FINDINGS)]
    if own is not None:
        # The legend is known by what it is drawn from.
        legends = nodes_of_class(scene, "vtkMRMLColorLegendDisplayNode")
        going += [one for one in legends if one.GetPrimaryDisplayNode() is own]
        going += [own.GetColorNode(), own]
    if copy is not None:
        shown = [copy.GetNthDisplayNode(n) for n in range(copy.GetNumberOfDisplayNodes())]
        going += [one.GetVolumePropertyNode() for one in shown]
    for one in (outline, copy, map_node.GetNodeReference(BODY)):
        remove_with_display(scene, one)
    for one in filter(None, going):
        scene.RemoveNode(one)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _on_going(scene: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
    is_map = isinstance(node, slicer.vtkMRMLScalarVolumeNode) and node.GetAttribute(heat_map.MARK)
    # In a scene that is closed all of them go anyway.
    if is_map and not scene.IsClosing():
        remove_companions(scene, node)
