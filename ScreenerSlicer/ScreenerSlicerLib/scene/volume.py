"""A volume node as the engine's scan, and a map of the engine as a volume node.

Arrays are `(D, H, W)` as in the engine, which Slicer calls `(K, J, I)`. A node's parent transform
is never applied to voxels: what comes of a scan is put under the same transform, so that it lies
on the scan wherever that has been moved to, even where the transform bends. A scan that is moved
afterwards leaves its map behind, which the panel tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ScreenerSlicerLib.translation import tr as _

if TYPE_CHECKING:
    from ctscreener.findings import Triple

MOVED_MM = 1e-3
"""Differences of two grids up to this are rounding."""


def scan_of(node: slicer.vtkMRMLScalarVolumeNode) -> Scan:
    """Take a volume node as a scan.

    Arguments:
        node: A volume of one value a voxel.

    Returns:
        A copy of its voxels in float32, with voxel `(d, h, w)` to RAS mm before any transform.

    Raises:
        InputError: `scan.empty` or `scan.colours`.
    """
    shared = shared_scan_of(node)
    return Scan(shared.hu.astype(np.float32), shared.affine)


def shared_scan_of(node: slicer.vtkMRMLScalarVolumeNode) -> Scan:
    """Take a volume node as a scan without copying anything, which takes no time.

    Arguments:
        node: A volume of one value a voxel.

    Returns:
        The node's own voxels, in the type in which it holds them, not to be written; they stay
        where they are as long as the array is kept, even when the node goes.

    Raises:
        InputError: `scan.empty` or `scan.colours`.
    """
    image = node.GetImageData()
    values = image.GetPointData().GetScalars() if image else None
    if not values or not values.GetNumberOfTuples():
        raise InputError(
            "scan.empty",
            _("Expected a volume with voxels, found none in {name}.").format(name=node.GetName()),
            _("Load the volume again, or choose another."),
        )
    if values.GetNumberOfComponents() != 1:
        found = _("Expected one value a voxel, found {count} in {name}.")
        raise InputError(
            "scan.colours",
            found.format(count=values.GetNumberOfComponents(), name=node.GetName()),
            _("Choose a CT: a scalar volume in Hounsfield units."),
        )
    width, height, depth = image.GetDimensions()
    return Scan(vtk_to_numpy(values).reshape(depth, height, width), affine_of(node))


def affine_of(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Voxel `(d, h, w, 1)` of a volume node to RAS mm before any transform, `(4, 4)`."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return _rows(matrix)[:, [2, 1, 0, 3]]


def lie_alike(one: slicer.vtkMRMLVolumeNode, other: slicer.vtkMRMLVolumeNode) -> bool:
    """Tell whether two volumes lie in the same place, as a map and its scan do until one moves."""
    same = np.allclose(affine_of(one), affine_of(other), atol=MOVED_MM)
    return same and one.GetTransformNodeID() == other.GetTransformNodeID()


def _rows(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A matrix of VTK as an array, `(4, 4)`."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def scan_node(scene: slicer.vtkMRMLScene, scan: Scan, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a scan to the scene.

    Arguments:
        scene: Where to.
        scan: Its very array is used, so that it is not to be written afterwards.
        name: What the node is called, with a number where another has that name.
    """
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(scene.GenerateUniqueName(name))
    matrix = vtk.vtkMatrix4x4()
    for row, values in enumerate(scan.affine[:, [2, 1, 0, 3]]):
        for column, value in enumerate(values):
            matrix.SetElement(row, column, value)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(_image_of(scan.hu))
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    return node


def map_node(
    scene: slicer.vtkMRMLScene,
    rarity: np.ndarray,
    like_node: slicer.vtkMRMLScalarVolumeNode,
    name: str,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a map to the scene, on the grid of a volume and under the same transform.

    Arguments:
        scene: Where to.
        rarity: One value a voxel of `like_node`, NaN where not scored, `(D, H, W)`. The node
            uses this very array where it is float32, so it is not to be written afterwards.
        like_node: The volume that was scored.
        name: What the node is called.
    """
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    fill_map(node, rarity, like_node)
    scene.AddNode(node)
    node.SetAndObserveTransformNodeID(like_node.GetTransformNodeID())
    return node


def fill_map(
    node: slicer.vtkMRMLScalarVolumeNode,
    rarity: np.ndarray,
    like_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Make a volume hold a map, on the grid of another.

    Arguments:
        node: The volume, in a scene or not.
        rarity: See `map_node`.
        like_node: The volume that was scored.
    """
    assert rarity.shape == shared_scan_of(like_node).shape, "a map is as large as its scan"
    matrix = vtk.vtkMatrix4x4()
    like_node.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(_image_of(rarity.astype(np.float32, copy=False)))


def _image_of(values: np.ndarray) -> vtk.vtkImageData:
    """An image that uses an array, `(D, H, W)`, where that is contiguous."""
    depth, height, width = values.shape
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, depth)
    # VTK's array keeps the numpy array alive; a copy would hold up the user for 0.2 s.
    flat = np.ascontiguousarray(values).reshape(-1)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=False))
    return image


@dataclass(frozen=True)
class Fingerprint:
    """What a volume was at some moment, to tell later whether it still is that.

    Moving it by a transform is no change: results move along. The time of the last change of its
    voxels stands for the voxels; it grows over the whole program, so that another volume under
    the same ID has another.
    """

    node_id: str
    name: str
    voxels_time: int
    geometry: tuple[float, ...]

    @classmethod
    def of(cls, node: slicer.vtkMRMLScalarVolumeNode) -> Self:
        """Take the fingerprint of a volume with voxels."""
        time, geometry = _voxels_time(node), tuple(affine_of(node).ravel())
        return cls(node.GetID(), node.GetName(), time, geometry)

    def matches(self, scene: slicer.vtkMRMLScene) -> str | None:
        """Compare with what is in the scene now.

        Returns:
            None where the volume is as it was, else what happened to it, as a sentence.
        """
        node = scene.GetNodeByID(self.node_id)
        if not isinstance(node, slicer.vtkMRMLScalarVolumeNode):
            gone = _("The volume {name} is no longer in the scene.")
            return gone.format(name=self.name)
        if _voxels_time(node) != self.voxels_time:
            changed = _("The voxels of the volume {name} were changed meanwhile.")
            return changed.format(name=self.name)
        if tuple(affine_of(node).ravel()) != self.geometry:
            moved = _("Spacing, origin or directions of {name} were changed meanwhile.")
            return moved.format(name=self.name)
        return None


def _voxels_time(node: slicer.vtkMRMLScalarVolumeNode) -> int:
    image = node.GetImageData()
    return image.GetMTime() if image else 0


def world_point(node: slicer.vtkMRMLTransformableNode, ras: Triple) -> Triple:
    """Where a point of a node's own frame lies in the world, in RAS mm."""
    right, anterior, superior = world_points(node, np.array([ras]))[0]
    return float(right), float(anterior), float(superior)


def world_points(node: slicer.vtkMRMLTransformableNode, ras: np.ndarray) -> np.ndarray:
    """Where points of a node's own frame lie in the world.

    Arguments:
        node: Under any transforms, bending ones too, or none.
        ras: RAS mm, `(N, 3)`.

    Returns:
        RAS mm, float64, `(N, 3)`.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.array(ras, np.float64)
    to_world = vtk.vtkGeneralTransform()
    parent.GetTransformToWorld(to_world)
    before, after = vtk.vtkPoints(), vtk.vtkPoints()
    before.SetData(numpy_to_vtk(np.ascontiguousarray(ras, np.float64), deep=True))
    after.SetDataTypeToDouble()
    to_world.TransformPoints(before, after)
    return vtk_to_numpy(after.GetData()).copy()
