"""The outline of the body in 3D, so that what floats there has a place; and a look at it."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from scipy.ndimage import binary_fill_holes
from vtkmodules.util.numpy_support import numpy_to_vtk

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.scene.scene_nodes import nodes_of_class
from ScreenerSlicerLib.scene.volume import shared_scan_of
from ScreenerSlicerLib.translation import tr as _

STEP_MM = 4.0
"""Voxels of the outline: it is a sketch, and takes a tenth of a second."""
SMOOTHINGS, PASS_BAND = 20, 0.05
OPACITY = 0.2
COLOUR = (0.85, 0.8, 0.75)
AMBIENT = 0.5
DISTANCE = 0.85
"""From how far the camera looks, where 1 would let a ball around the body touch the edges."""


def make_body(
    scene: slicer.vtkMRMLScene, map_node: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLModelNode:
    """Add the surface of what was scored of a scan: its body, or a region's part of it.

    Arguments:
        scene: Where to.
        map_node: A map, NaN where not scored.

    Returns:
        A model of pale glass under the map's transform, hidden from lists.
    """
    node = slicer.vtkMRMLModelNode()
    node.SetName(scene.GenerateUniqueName(_("{map} body").format(map=map_node.GetName())))
    node.SetDescription(NOTICE)
    node.SetHideFromEditors(True)
    node.SetAndObservePolyData(_surface(map_node))
    scene.AddNode(node)
    node.SetAndObserveTransformNodeID(map_node.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*COLOUR)
    display.SetOpacity(OPACITY)
    display.SetVisibility2D(False)
    display.SetAmbient(AMBIENT)
    display.SetDiffuse(1.0 - AMBIENT)
    return node


def look_at(scene: slicer.vtkMRMLScene, model_node: slicer.vtkMRMLModelNode) -> None:
    """Turn the cameras of all 3D views to a model: from in front, head up, all of it in sight."""
    bounds = [0.0] * 6
    model_node.GetRASBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    if not (high >= low).all():
        return
    middle = (low + high) / 2
    for camera in nodes_of_class(scene, "vtkMRMLCameraNode"):
        half = np.radians(camera.GetViewAngle()) / 2
        away = DISTANCE * np.linalg.norm(high - low) / 2 / np.sin(half)
        camera.SetFocalPoint(*middle.tolist())
        camera.SetPosition(*(middle + [0.0, away, 0.0]).tolist())
        camera.SetViewUp(0.0, 0.0, 1.0)
        camera.ResetClippingRange()


def _surface(map_node: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkPolyData:
    """The smooth surface of the scored voxels, RAS mm in the map's own frame."""
    scan = shared_scan_of(map_node)
    step = np.maximum(1, np.rint(STEP_MM / scan.spacing)).astype(int)
    scored = np.isfinite(scan.hu[:: step[0], :: step[1], :: step[2]])
    # The skin alone; a margin of air closes it where the body leaves the scan.
    filled = np.stack([np.asarray(binary_fill_holes(one)) for one in scored])
    closed = np.pad(filled, 1).astype(np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(*closed.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(closed.reshape(-1), deep=True))
    edges = vtk.vtkDiscreteFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 1)
    # The label of the body would be drawn as a colour.
    edges.ComputeScalarsOff()
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(edges.GetOutputPort())
    smooth.SetNumberOfIterations(SMOOTHINGS)
    smooth.SetPassBand(PASS_BAND)
    smooth.NormalizeCoordinatesOn()
    to_ras = vtk.vtkTransform()
    to_ras.SetMatrix(_to_ras(scan.affine, step).ravel().tolist())
    placed = vtk.vtkTransformPolyDataFilter()
    placed.SetInputConnection(smooth.GetOutputPort())
    placed.SetTransform(to_ras)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(placed.GetOutputPort())
    normals.AutoOrientNormalsOn()
    normals.ConsistencyOn()
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()


def _to_ras(affine: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Point `(i, j, k)` of the padded, thinned image to RAS mm, `(4, 4)`."""
    matrix = np.eye(4)
    matrix[:3, :3] = (affine[:3, :3] * step)[:, ::-1]
    matrix[:3, 3] = affine[:3, 3] - matrix[:3, :3].sum(axis=1)
    return matrix
