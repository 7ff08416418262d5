"""The part of a scan that is to be screened, drawn as a region of interest in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import slicer
import vtk

from ScreenerSlicerLib.process.screen_job import Bounds


@dataclass(frozen=True)
class RegionBox:
    """What is scored of a region: a straight box, for the engine knows no other.

    Arguments:
        bounds: Lowest and highest R, A, S in mm, in the scan's own frame.
        growth: Its volume over that of the region; 1 where the region is not turned.
    """

    bounds: Bounds
    growth: float


def region_box(
    region_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> RegionBox | None:
    """Find the box that is scored for a region.

    Arguments:
        region_node: The region, which may be turned, and under a transform.
        volume_node: The scan, which may be under a transform.

    Returns:
        The straight box that holds all corners of the region; None as long as it has no size.
    """
    size = np.array(region_node.GetSize())
    if not (size > 0).all():
        return None
    to_world = region_node.GetObjectToWorldMatrix()
    to_scan = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        None, volume_node.GetParentTransformNode(), to_scan
    )
    corners = np.array(
        [
            to_scan.TransformPoint(to_world.MultiplyPoint((*(size / 2 * signs), 1.0))[:3])
            for signs in product((-1, 1), repeat=3)
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    # From the first corner along the three edges.
    own = abs(float(np.linalg.det(corners[[4, 2, 1]] - corners[0])))
    (r0, a0, s0), (r1, a1, s1) = low.tolist(), high.tolist()
    return RegionBox((r0, r1, a0, a1, s0, s1), float(np.prod(high - low)) / own)


def is_new(region_node: slicer.vtkMRMLMarkupsROINode) -> bool:
    """Tell whether a region was only made: without a size, and without a point drawn so far."""
    drawn = region_node.GetNumberOfControlPoints() > 0
    return not drawn and not any(region_node.GetSize())


def fit_region(
    region_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Lay a region around a whole scan, from where the user makes it smaller."""
    bounds = [0.0] * 6
    volume_node.GetRASBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    region_node.SetCenterWorld(*((low + high) / 2))
    region_node.SetSize(*(high - low))
