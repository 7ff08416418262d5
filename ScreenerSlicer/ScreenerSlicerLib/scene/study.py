"""Where results stand in the subject hierarchy: beside the scan, in its study."""

from __future__ import annotations

import slicer


def put_into_study(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode, scan_node: slicer.vtkMRMLNode
) -> None:
    """Move a node to the place of a scan in the subject hierarchy.

    DICOM export takes patient and study from there. A scan that was not loaded from DICOM stands
    in no study, and neither does then the node.

    Arguments:
        scene: The scene of both.
        node: A result.
        scan_node: The scan that it belongs to.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item, scan = (hierarchy.GetItemByDataNode(one) for one in (node, scan_node))
    parent = hierarchy.GetItemParent(scan) if scan else hierarchy.GetSceneItemID()
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
