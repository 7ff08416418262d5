"""The heat map in 3D: what is rare floats in the room, and follows the threshold.

Graphics cards draw NaN as they please, most as the highest value there is. So what is drawn is a
copy of the map of one byte a voxel, a quarter of the map's size, 0 where nothing was scored and
where the rarity is below 2, which has no colour.
"""

from __future__ import annotations

from typing import final

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from ctscreener.colours import HIGHEST, LOWEST, rarity_to_rgba
from ctscreener.findings import NOTICE
from ScreenerSlicerLib.scene.body_outline import look_at, make_body
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import shared_scan_of
from ScreenerSlicerLib.translation import tr as _

RENDERED, BODY = "ScreenerRendered", "ScreenerBody"
"""The roles of the copy, and of the outline of the body around it, that a map refers to."""
STEPS = 20
"""Steps of the copy in one of rarity: it tells rarities up to 12.75 apart."""
FAINT, DENSE = 0.25, 0.9
"""Opacity at the threshold, and of the rarest."""


@final
class Rendering:
    """A map in the 3D views; nothing is made before it is shown.

    Arguments:
        scene: The scene of the map.
        logics: Slicer's logics on that scene.
        map_node: The map.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        logics: Logics,
        map_node: slicer.vtkMRMLScalarVolumeNode,
    ) -> None:
        self._scene = scene
        self._logics = logics
        self._map_node = map_node

    @property
    def shown(self) -> bool:
        """Whether the map is to be seen in 3D."""
        display = self._display()
        return display is not None and bool(display.GetVisibility())

    def show(self, threshold: float) -> None:
        """Draw what is at least this rare.

        Raises:
            RuntimeError: The host has no volume rendering.
        """
        display = self._display() or self._make()
        self.follow(threshold)
        display.SetVisibility(True)
        body = self._map_node.GetNodeReference(BODY)
        if body is None:
            body = make_body(self._scene, self._map_node)
            self._map_node.SetNodeReferenceID(BODY, body.GetID())
        body.GetDisplayNode().SetVisibility(True)
        look_at(self._scene, body)

    def hide(self) -> None:
        """Draw nothing."""
        display = self._display()
        if display is not None:
            display.SetVisibility(False)
        body = self._map_node.GetNodeReference(BODY)
        if body is not None:
            body.GetDisplayNode().SetVisibility(False)

    def follow(self, threshold: float) -> None:
        """Draw what is at least this rare, wherever the map was shown before."""
        display = self._display()
        if display is None:
            return
        opacity = vtk.vtkPiecewiseFunction()
        start = np.clip(threshold * STEPS, 1.0, 254.0)
        for value, share in [(0, 0), (start - 1, 0), (start, FAINT), (255, DENSE)]:
            opacity.AddPoint(value, share)
        display.GetVolumePropertyNode().SetScalarOpacity(opacity)

    def _display(self) -> slicer.vtkMRMLVolumeRenderingDisplayNode | None:
        copy = self._map_node.GetNodeReference(RENDERED)
        if copy is None or self._logics.volumerendering is None:
            return None
        return self._logics.volumerendering.GetFirstVolumeRenderingDisplayNode(copy)

    def _make(self) -> slicer.vtkMRMLVolumeRenderingDisplayNode:
        """Add the copy to the scene, with colours that do not change."""
        rendering = self._logics.volumerendering
        if rendering is None:
            raise RuntimeError("this application has no volume rendering")
        copy = slicer.vtkMRMLScalarVolumeNode()
        name = _("{map} in 3D").format(map=self._map_node.GetName())
        copy.SetName(self._scene.GenerateUniqueName(name))
        copy.SetDescription(NOTICE)
        # One more volume to choose from would only confuse.
        copy.SetHideFromEditors(True)
        matrix = vtk.vtkMatrix4x4()
        self._map_node.GetIJKToRASMatrix(matrix)
        copy.SetIJKToRASMatrix(matrix)
        copy.SetAndObserveImageData(_bytes(shared_scan_of(self._map_node).hu))
        self._scene.AddNode(copy)
        copy.SetAndObserveTransformNodeID(self._map_node.GetTransformNodeID())
        self._map_node.SetNodeReferenceID(RENDERED, copy.GetID())
        # Slicer's usual start would choose a preset for the range of the values: that of an MRI.
        colours = slicer.vtkMRMLVolumePropertyNode()
        colours.SetColor(_colours())
        colours.SetHideFromEditors(True)
        self._scene.AddNode(colours)
        display = rendering.CreateVolumeRenderingDisplayNode()
        self._scene.AddNode(display)
        # What the logic creates is the caller's to release; the scene holds it from here on.
        display.UnRegister(None)
        display.SetAndObserveVolumePropertyNodeID(colours.GetID())
        copy.AddAndObserveDisplayNodeID(display.GetID())
        return display


def _bytes(rarity: np.ndarray) -> vtk.vtkImageData:
    """A map as one byte a voxel: `STEPS` times the rarity, 0 where it has no colour."""
    copy = np.zeros(rarity.shape, np.uint8)
    # Slice by slice: at once it would take the memory of several maps.
    for here, there in zip(rarity, copy, strict=True):
        rare = here >= LOWEST
        there[rare] = np.minimum(here[rare] * STEPS, 255)
    image = vtk.vtkImageData()
    image.SetDimensions(*rarity.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(copy.reshape(-1), deep=False))
    return image


def _colours() -> vtk.vtkColorTransferFunction:
    """The colour of each value of the copy."""
    colours = vtk.vtkColorTransferFunction()
    rarity = np.arange(LOWEST + 0.25, HIGHEST + 0.25, 0.25)
    for value, shown in zip(rarity.tolist(), rarity_to_rgba(rarity) / 255, strict=True):
        red, green, blue, _ = shown.tolist()
        colours.AddRGBPoint(value * STEPS, red, green, blue)
    return colours
