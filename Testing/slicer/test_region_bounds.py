"""The box that is scored for a region: around all of its corners, wherever region and scan lie."""

from itertools import product

import numpy as np
import pytest
import slicer

from ScreenerSlicerLib.scene.region_bounds import fit_region, region_box
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps

SIZE = np.array([30.0, 20.0, 10.0])


def region_in(scene: slicer.vtkMRMLScene, turn: np.ndarray) -> slicer.vtkMRMLMarkupsROINode:
    """A region of `SIZE`, turned around its centre and moved."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    node.SetSize(*SIZE)
    parent = lumps.add_transform(scene, turn)
    node.SetAndObserveTransformNodeID(parent.GetID())
    return node


@pytest.mark.parametrize("name", ["lying", "transformed", "left-handed, tilted and transformed"])
@pytest.mark.parametrize("degrees", [0.0, 35.0])
def test_the_box_holds_every_corner_and_touches_six(
    slicer_scene: SlicerScene, name: str, degrees: float
) -> None:
    geometry = lumps.GEOMETRIES[name]
    scan_node = lumps.add_scan(slicer_scene.scene, geometry)
    turn = lumps.turned(degrees, (4.0, -3.0, 2.0))
    box = region_box(region_in(slicer_scene.scene, turn), scan_node)
    assert box is not None
    parent = geometry.parent if isinstance(geometry.parent, np.ndarray) else np.eye(4)
    halves = [[*(SIZE / 2 * signs), 1.0] for signs in product((-1, 1), repeat=3)]
    corners = (np.linalg.inv(parent) @ turn @ np.array(halves).T)[:3]
    assert box.bounds[::2] == pytest.approx(corners.min(axis=1))
    assert box.bounds[1::2] == pytest.approx(corners.max(axis=1))
    assert box.growth == pytest.approx(np.prod(np.ptp(corners, axis=1)) / np.prod(SIZE))
    turned = degrees > 0 or name != "lying"
    assert (box.growth > 1.05) == turned


def test_a_region_without_a_size_is_none(slicer_scene: SlicerScene) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    node = slicer_scene.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    node.SetSize(0.0, 10.0, 10.0)
    assert region_box(node, scan_node) is None


def test_a_new_region_lies_around_the_whole_scan(slicer_scene: SlicerScene) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    node = slicer_scene.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    fit_region(node, scan_node)
    box = region_box(node, scan_node)
    bounds = [0.0] * 6
    scan_node.GetRASBounds(bounds)
    assert box is not None
    assert box.bounds == pytest.approx(bounds)
    assert box.growth == pytest.approx(1.0)
