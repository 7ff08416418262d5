"""Scans of a scene: which one a reader means, and how it comes into the views."""

from __future__ import annotations

import slicer

from ScreenerSlicerLib.scene.heat_map import LAYERS, MARK
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class

VOLUME = "vtkMRMLScalarVolumeNode"


def choose_scan(
    scene: slicer.vtkMRMLScene, application: slicer.vtkMRMLApplicationLogic
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Choose the scan to begin with: the one that Slicer shows, else the first.

    Arguments:
        scene: Any.
        application: `slicer.app.applicationLogic()`.

    Returns:
        A volume that a user could choose; None where there is none. Our own maps, label maps and
        volumes that are hidden from lists, such as the copy that is drawn in 3D, are none.
    """
    found = [node for node in nodes_of_class(scene, VOLUME) if is_scan(node)]
    active = application.GetSelectionNode().GetActiveVolumeID()
    return next((node for node in found if node.GetID() == active), next(iter(found), None))


def is_scan(node: slicer.vtkMRMLNode) -> bool:
    """Tell whether a node is a volume that may be a scan."""
    hidden = node.GetHideFromEditors() or node.GetAttribute(MARK)
    return node.GetClassName() == VOLUME and not hidden


def show_scan(
    application: slicer.vtkMRMLApplicationLogic, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> bool:
    """Show a scan in all slice views, the whole of it, where not all of them show it already.

    Arguments:
        application: `slicer.app.applicationLogic()`.
        scan_node: The scan.

    Returns:
        Whether the views were changed.
    """
    layers = list(nodes_of_class(scan_node.GetScene(), LAYERS))
    if layers and all(one.GetBackgroundVolumeID() == scan_node.GetID() for one in layers):
        return False
    application.GetSelectionNode().SetActiveVolumeID(scan_node.GetID())
    application.PropagateBackgroundVolumeSelection(1)
    return True
