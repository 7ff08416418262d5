"""The nodes on which the panel's card depends, and what is done when one of them changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import slicer
import slicer.util
import vtk

EVENTS = (
    vtk.vtkCommand.ModifiedEvent,
    slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
    slicer.vtkMRMLMarkupsNode.PointModifiedEvent,
    slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent,
)


@final
class Observed:
    """Some nodes, and no others.

    Arguments:
        on_change: Called when one of them was changed.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._observers = slicer.util.VTKObservationMixin()
        self._nodes: tuple[slicer.vtkMRMLNode | None, ...] = ()

    def look_at(self, *nodes: slicer.vtkMRMLNode | None) -> None:
        """Look at these from now on; at none where none are given."""
        if nodes == self._nodes:
            return
        self._nodes = nodes
        self._observers.removeObservers()
        for node in filter(None, nodes):
            for event in EVENTS:
                self._observers.addObserver(node, event, self._on_node)

    def _on_node(self, caller: object, event: str) -> None:
        self._on_change()
