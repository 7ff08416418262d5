"""A block of tissue with rare lumps in it, as nodes in any geometry."""

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from ctscreener.findings import Finding, FindingSettings, find
from ctscreener.scan import Scan

SHAPE = (20, 36, 44)
SETTINGS = FindingSettings(threshold=3.0, min_volume_ml=0.05)
LOW = 3.0
HIGH = 5.0


@dataclass(frozen=True)
class Geometry:
    """How a scan lies.

    Arguments:
        affine: Voxel `(d, h, w, 1)` to RAS mm, `(4, 4)`.
        parent: A matrix or `bent`, as the scan's parent transform; None without.
    """

    affine: np.ndarray
    parent: np.ndarray | str | None = None


def placed(columns: list[list[float]]) -> np.ndarray:
    """An affine with these steps along D, H and W, whose middle voxel is near the origin."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns).T
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) / 2) + [3.0, -2.0, 1.0]
    return affine


def turned(degrees: float, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """A turn around an oblique axis, and a shift."""
    transform = vtk.vtkTransform()
    transform.Translate(*shift)
    transform.RotateWXYZ(degrees, 1.0, 0.3, -0.2)
    matrix = transform.GetMatrix()
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


LYING = placed([[0, 0, 3], [0, -2, 0], [-2, 0, 0]])
"""A patient on the back, as scanners give it: voxels of 2 x 2 x 3 mm."""
MIRRORED = placed([[0, 0, 3], [0, -2, 0], [2, 0, 0]])
"""A left-handed grid."""
GEOMETRIES = {
    "lying": Geometry(LYING),
    "left-handed": Geometry(MIRRORED),
    "tilted": Geometry(turned(15) @ placed([[0, 0, 3.1], [0, -2, 0], [-1.5, 0, 0]])),
    "sagittal slices": Geometry(placed([[2.5, 0, 0], [0, 0, -2], [0, -1.8, 0]])),
    "transformed": Geometry(LYING, turned(20, (12.0, -7.0, 9.0))),
    "left-handed, tilted and transformed": Geometry(turned(-12) @ MIRRORED, turned(25, (5, 5, 5))),
    "bent": Geometry(LYING, "bent"),
}


def rarity() -> np.ndarray:
    """A map: NaN around the block, 0 to 2 in it, three lumps, `SHAPE`.

    The highest peak, 7.0, has its lump to the left below; one voxel is exactly on `LOW`.
    """
    values = np.full(SHAPE, np.nan, np.float32)
    inside = values[2:18, 4:32, 4:40]
    inside[:] = np.random.default_rng(4).random(inside.shape) * 2
    values[4:8, 8:14, 28:36] = 4.5
    values[5, 10, 30] = 7.0
    values[12:16, 20:24, 8:14] = 3.5
    values[13, 21, 9] = 4.0
    values[10, 28, 20:26] = 5.5
    values[10, 28, 26] = LOW
    return values


def hu() -> np.ndarray:
    """Tissue where the map is scored, air elsewhere, int16, no two voxels alike by much."""
    values = np.full(SHAPE, -1000, np.int16)
    values[2:18, 4:32, 4:40] = 40
    return values + np.random.default_rng(5).integers(-9, 10, SHAPE).astype(np.int16)


def add_scan(
    scene: slicer.vtkMRMLScene, geometry: Geometry, values: np.ndarray | None = None
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a CT to a scene, with a fixed window, under its transform."""
    values = hu() if values is None else values
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    node.SetAndObserveImageData(image)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(geometry.affine[:, [2, 1, 0, 3]].ravel())
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevel(2000, 0)
    if geometry.parent is not None:
        node.SetAndObserveTransformNodeID(add_transform(scene, geometry.parent).GetID())
    return node


def add_transform(
    scene: slicer.vtkMRMLScene, parent: np.ndarray | str
) -> slicer.vtkMRMLTransformNode:
    """Add a transform to a scene: one of a matrix, or one that bends."""
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    if isinstance(parent, str):
        corners = np.array(np.meshgrid(*[[-60.0, 60.0]] * 3)).reshape(3, -1).T
        bend = vtk.vtkThinPlateSplineTransform()
        bend.SetBasisToR()
        bend.SetSourceLandmarks(points(corners))
        bend.SetTargetLandmarks(points(corners + 0.1 * corners[:, [1, 2, 0]] * np.sign(corners)))
        node.SetAndObserveTransformToParent(bend)
    else:
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(parent.ravel())
        node.SetMatrixTransformToParent(matrix)
    return node


def points(places: np.ndarray) -> vtk.vtkPoints:
    """Points `(N, 3)` as VTK has them."""
    result = vtk.vtkPoints()
    result.SetData(numpy_to_vtk(np.ascontiguousarray(places, np.float64), deep=True))
    return result


def findings(values: np.ndarray, settings: FindingSettings = SETTINGS) -> list[Finding]:
    """What the engine finds in a map in the ordinary geometry."""
    return find(values, Scan(hu().astype(np.float32), LYING), settings)
