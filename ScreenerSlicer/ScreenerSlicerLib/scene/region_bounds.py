"""The part of a scan that is to be screened, drawn as a region of interest in the scene."""

from __future__ import annotations

from itertools import product

import numpy as np
import slicer
import vtk

from ScreenerSlicerLib.process.job import Bounds


def region_bounds(
    region_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> Bounds | None:
    """Find the box that is scored for a region.

    Arguments:
        region_node: The region, which may be turned, and under a transform.
        volume_node: The scan, which may be under a transform.

    Returns:
        Lowest and highest R, A, S in mm in the scan's own frame, of the box that holds all
        corners of the region; None as long as the region has no size.
    """
    size = np.array(region_node.GetSize())
    if not (size > 0).all():
        return None
    to_world = region_node.GetObjectToWorldMatrix()
    corners = [
        to_world.MultiplyPoint((*(size / 2 * signs), 1.0))[:3]
        for signs in product((-1, 1), repeat=3)
    ]
    to_scan = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        None, volume_node.GetParentTransformNode(), to_scan
    )
    own = np.array([to_scan.TransformPoint(corner) for corner in corners])
    low, high = own.min(axis=0).tolist(), own.max(axis=0).tolist()
    return low[0], high[0], low[1], high[1], low[2], high[2]


def fit_region(
    region_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Lay a region around a whole scan, from where the user makes it smaller."""
    bounds = [0.0] * 6
    volume_node.GetRASBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    region_node.SetCenterWorld(*((low + high) / 2))
    region_node.SetSize(*(high - low))
