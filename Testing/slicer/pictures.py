"""What a slice view ought to show, worked out from the map itself, pixel by pixel."""

from collections.abc import Callable

import numpy as np
import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from ScreenerSlicerLib.scene.volume import scan_of
from Testing.host.views import SliceView
from Testing.slicer.lumps import points


def seen_values(view: SliceView, node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """The value of the voxel under each pixel of a view.

    Arguments:
        view: Any slice view.
        node: A volume under any transform.

    Returns:
        NaN beside the volume, `(height, width)`, top row first.
    """
    width, height = view.size
    rows, columns = np.mgrid[height - 1 : -1 : -1, :width]
    to_ras = view.node.GetXYToRAS()
    matrix = np.array([[to_ras.GetElement(i, j) for j in range(4)] for i in range(4)])
    pixels = np.stack([columns.ravel(), rows.ravel(), 0 * rows.ravel(), 1 + 0 * rows.ravel()])
    world = (matrix @ pixels)[:3].T
    scan = scan_of(node)
    from_ras = np.linalg.inv(scan.affine)
    index = np.rint(from_world(node)(world) @ from_ras[:3, :3].T + from_ras[:3, 3]).astype(int)
    inside = np.all((index >= 0) & (index < scan.shape), axis=1)
    values = np.full(len(index), np.nan)
    values[inside] = scan.hu[tuple(index[inside].T)]
    return values.reshape(height, width)


def from_world(node: slicer.vtkMRMLTransformableNode) -> Callable[[np.ndarray], np.ndarray]:
    """The way from the world to a node's own frame, which is VTK's and not ours."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.asarray
    transform = vtk.vtkGeneralTransform()
    parent.GetTransformFromWorld(transform)

    def apply(world: np.ndarray) -> np.ndarray:
        moved = vtk.vtkPoints()
        moved.SetDataTypeToDouble()
        transform.TransformPoints(points(world), moved)
        return vtk_to_numpy(moved.GetData()).copy()

    return apply


def coloured(picture: np.ndarray) -> np.ndarray:
    """Pixels that are not grey, `(height, width)`; the CT alone is."""
    return np.ptp(picture.astype(int), axis=-1) > 6


def wrong(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Pixels that differ from what is expected, but for those at an edge of it.

    A pixel whose centre is nearly between two voxels may show either.
    """
    near = [np.roll(expected, step, axis) for axis in (0, 1) for step in (-1, 1)]
    edge = np.any([expected != other for other in near], axis=0)
    return (seen != expected) & ~edge
