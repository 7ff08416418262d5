"""Nodes of a scene: by their class, by free names, and their removal with what shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import slicer


def nodes_of_class(scene: slicer.vtkMRMLScene, name: str) -> Iterator[Any]:
    """Go through the nodes of a class and of those derived from it, in the scene's order.

    Arguments:
        scene: Any.
        name: Of the class, such as `vtkMRMLTableNode`.

    Yields:
        The nodes; none is to be added or removed meanwhile.
    """
    # GetNodesByClass would hand over a collection that nobody frees.
    for index in range(scene.GetNumberOfNodesByClass(name)):
        yield scene.GetNthNodeByClass(index, name)


def free_name(
    scene: slicer.vtkMRMLScene, name: str, leaving: Sequence[slicer.vtkMRMLNode] = ()
) -> str:
    """Return a name that no volume has: as it is, or with the first free number after it.

    Arguments:
        scene: Any.
        name: What is wished for.
        leaving: Volumes that are about to go; their names are free.
    """
    volumes = nodes_of_class(scene, "vtkMRMLVolumeNode")
    taken = {one.GetName() for one in volumes if one not in leaving}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free


def remove_with_display(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLDisplayableNode | None
) -> None:
    """Remove a node, and what shows and stores it, which a scene would keep.

    Arguments:
        scene: Its scene.
        node: Any; None does nothing.
    """
    if node is None:
        return
    kept = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    kept += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for one in kept:
        if one is not None:
            scene.RemoveNode(one)
