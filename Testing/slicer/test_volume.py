"""Volumes become scans and maps become volumes, in the same place of the patient and the world."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from ctscreener.errors import InputError
from ScreenerSlicerLib.scene.volume import (
    Fingerprint,
    map_node,
    scan_of,
    shared_scan_of,
    world_point,
    world_points,
)
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps

Volume = slicer.vtkMRMLScalarVolumeNode


@pytest.mark.parametrize("name", lumps.GEOMETRIES)
def test_a_voxel_lies_where_slicer_says(slicer_scene: SlicerScene, name: str) -> None:
    node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES[name])
    scan = scan_of(node)
    for d, h, w in [(0, 0, 0), (3, 7, 11), (19, 35, 43)]:
        to_ras = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(to_ras)
        place = to_ras.MultiplyPoint((w, h, d, 1))
        assert scan.affine @ (d, h, w, 1) == pytest.approx(place)
        assert scan.hu[d, h, w] == node.GetImageData().GetScalarComponentAsDouble(w, h, d, 0)
    assert scan.hu.dtype == np.float32
    assert np.array_equal(scan.hu, lumps.hu())


def test_a_shared_scan_is_not_copied_and_outlives_its_node(slicer_scene: SlicerScene) -> None:
    node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    scan = shared_scan_of(node)
    assert scan.hu.dtype == np.int16
    assert np.shares_memory(scan.hu, vtk_to_numpy(node.GetImageData().GetPointData().GetScalars()))
    slicer_scene.scene.RemoveNode(node)
    del node
    gc.collect()
    assert np.array_equal(scan.hu, lumps.hu())


def test_a_volume_without_voxels_or_with_colours_is_refused(slicer_scene: SlicerScene) -> None:
    node = slicer_scene.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(InputError, match="voxels, found none in empty"):
        scan_of(node)
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 2)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    node.SetAndObserveImageData(image)
    with pytest.raises(InputError, match="one value a voxel, found 3"):
        scan_of(node)


@pytest.mark.parametrize("name", lumps.GEOMETRIES)
def test_a_map_lies_on_its_scan(slicer_scene: SlicerScene, name: str) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES[name])
    node = map_node(slicer_scene.scene, lumps.rarity(), scan_node, "map")
    scan, result = scan_of(scan_node), scan_of(node)
    assert np.array_equal(scan.affine, result.affine)
    assert np.array_equal(result.hu, lumps.rarity(), equal_nan=True)
    assert node.GetTransformNodeID() == scan_node.GetTransformNodeID()
    assert node.GetImageData().GetScalarType() == vtk.VTK_FLOAT


def test_a_map_keeps_its_voxels_when_nobody_else_does(slicer_scene: SlicerScene) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    turned = np.ascontiguousarray(lumps.rarity().transpose(2, 1, 0)).transpose(2, 1, 0)
    for values in (lumps.rarity(), turned, lumps.rarity().astype(np.float64)):
        name = map_node(slicer_scene.scene, values, scan_node, "map").GetID()
        del values
        gc.collect()
        _ = [np.zeros(lumps.SHAPE, np.float32) for _ in range(50)]
        kept = scan_of(slicer_scene.scene.GetNodeByID(name)).hu
        assert np.array_equal(kept, lumps.rarity(), equal_nan=True)


@pytest.mark.parametrize("name", ["lying", "transformed", "bent"])
def test_points_go_through_the_parent_transform(slicer_scene: SlicerScene, name: str) -> None:
    node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES[name])
    places = np.array([[0.0, 0.0, 0.0], [10.0, -20.0, 15.0], [-30.0, 25.0, 5.0]])
    moved = world_points(node, places)
    for place, result in zip(places, moved, strict=True):
        expected = [0.0, 0.0, 0.0]
        node.TransformPointToWorld(place, expected)
        assert result == pytest.approx(expected, abs=1e-6)
        assert world_point(node, tuple(place)) == pytest.approx(expected, abs=1e-6)
    assert (np.abs(moved - places).max() > 1) == (name != "lying")


def no_change(node: Volume) -> None:
    """What a user does to look at a volume."""
    node.SetName("renamed")
    node.GetDisplayNode().SetWindowLevel(400, 40)
    parent = lumps.add_transform(node.GetScene(), lumps.turned(10))
    node.SetAndObserveTransformNodeID(parent.GetID())


def removed(node: Volume) -> None:
    node.GetScene().RemoveNode(node)


def edited(node: Volume) -> None:
    node.GetImageData().SetScalarComponentFromDouble(1, 2, 3, 0, 77.0)
    node.GetImageData().GetPointData().GetScalars().Modified()


def replaced(node: Volume) -> None:
    node.SetAndObserveImageData(vtk.vtkImageData())


def moved(node: Volume) -> None:
    node.SetOrigin(1.0, 2.0, 3.0)


def closed(node: Volume) -> None:
    scene = node.GetScene()
    scene.Clear(0)
    assert lumps.add_scan(scene, lumps.GEOMETRIES["lying"]).GetID() == "vtkMRMLScalarVolumeNode1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (no_change, None),
        (removed, "CT is no longer in the scene"),
        (edited, "voxels of the volume CT were changed"),
        (replaced, "voxels of the volume CT were changed"),
        (moved, "Spacing, origin or directions of CT"),
        (closed, "voxels of the volume CT were changed"),
    ],
)
def test_a_fingerprint_knows_its_volume(
    slicer_scene: SlicerScene, change: Callable[[Volume], None], says: str | None
) -> None:
    node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["tilted"])
    fingerprint = Fingerprint.of(node)
    assert fingerprint.matches(slicer_scene.scene) is None
    change(node)
    reason = fingerprint.matches(slicer_scene.scene)
    assert reason is None if says is None else says in (reason or "")


def test_showing_and_saving_is_no_change(scene_with_views: SlicerScene, tmp_path: Path) -> None:
    node = lumps.add_scan(scene_with_views.scene, lumps.GEOMETRIES["lying"])
    fingerprint = Fingerprint.of(node)
    for view in scene_with_views.views.slices.values():
        view.composite.SetBackgroundVolumeID(node.GetID())
        view.pixels()
    scene_with_views.save(tmp_path / "scene.mrb")
    assert fingerprint.matches(scene_with_views.scene) is None
