"""Nodes of a scene by their class."""

from __future__ import annotations

from collections.abc import Iterator
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
