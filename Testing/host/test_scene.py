"""The scene behaves as Slicer's: nodes, files, hierarchy and what is to be seen."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer

from Testing.host.scene import SlicerScene
from Testing.host.views import Views

AFFINE = np.array(
    [[-2.0, 0.0, 0.0, 30.0], [0.0, -2.0, 0.0, 40.0], [0.0, 0.0, 3.0, -30.0], [0.0, 0.0, 0.0, 1.0]]
)
"""IJK to RAS of a patient on the back: I to the left, J to the back, K to the head."""
BRIGHT_RAS = (16.0, 20.0, 0.0)


def add_volume() -> slicer.vtkMRMLScalarVolumeNode:
    """Add a grey volume with a bright cube on the right, in front of the middle."""
    voxels = np.full((20, 40, 30), 100, np.int16)
    voxels[8:13, 8:13, 5:10] = 1000
    node = slicer.util.addVolumeFromArray(voxels, ijkToRAS=AFFINE, name="CT")
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 1000)
    return node


def show(views: Views, node: slicer.vtkMRMLVolumeNode) -> None:
    """Make a volume the background of every slice view, and go to the bright cube."""
    for view in views.slices.values():
        view.composite.SetBackgroundVolumeID(node.GetID())
    views.fit()
    for view in views.slices.values():
        # Without moving it to the middle, where up and down are the same.
        view.node.JumpSliceByOffsetting(*BRIGHT_RAS)


def test_every_logic_works_on_this_scene(slicer_scene: SlicerScene) -> None:
    for name, logic in slicer_scene.logics.of_modules().items():
        assert logic.GetMRMLScene() is slicer_scene.scene, name
    assert slicer.mrmlScene is slicer_scene.scene


def test_colours_have_the_ids_they_have_in_slicer(slicer_scene: SlicerScene) -> None:
    viridis = slicer_scene.scene.GetNodeByID("vtkMRMLColorTableNodeFileViridis.txt")
    first = [0.0] * 4

    viridis.GetColor(0, first)

    assert viridis.GetNumberOfColors() == 256
    assert np.allclose(first[:3], np.array([68, 1, 84]) / 255, atol=1e-6)


def test_data_nodes_get_one_item_in_the_hierarchy(slicer_scene: SlicerScene) -> None:
    scene = slicer_scene.scene
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)

    node = add_volume()
    item = hierarchy.GetItemByDataNode(node)

    assert hierarchy.GetItemName(item) == "CT"
    assert not hierarchy.GetItemByDataNode(node.GetDisplayNode())
    scene.RemoveNode(node)
    assert hierarchy.GetNumberOfItems() == 0


def test_a_bundle_brings_everything_back(slicer_scene: SlicerScene, tmp_path: Path) -> None:
    node = add_volume()
    node.SetAttribute("ScreenerSlicer.Note", "kept")
    voxels = slicer.util.arrayFromVolume(node).copy()

    slicer_scene.save(tmp_path / "scene.mrb")
    with SlicerScene() as other:
        other.load(tmp_path / "scene.mrb")
        again = slicer.util.getNode("CT")
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(other.scene)

        assert np.array_equal(slicer.util.arrayFromVolume(again), voxels)
        assert again.GetAttribute("ScreenerSlicer.Note") == "kept"
        assert hierarchy.GetItemByDataNode(again)


def test_a_bundle_that_is_none_is_an_error(slicer_scene: SlicerScene, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no\.mrb"):
        slicer_scene.load(tmp_path / "no.mrb")


def test_right_is_left_and_front_is_up(scene_with_views: SlicerScene) -> None:
    show(scene_with_views.views, add_volume())

    picture = scene_with_views.views.red.pixels()[..., 0].astype(int)
    rows, columns = np.nonzero(picture > 200)

    assert picture.shape == scene_with_views.views.red.size[::-1]
    assert rows.mean() < picture.shape[0] / 2
    assert columns.mean() < picture.shape[1] / 2


def test_a_place_is_drawn_where_pixel_of_says(scene_with_views: SlicerScene) -> None:
    show(scene_with_views.views, add_volume())

    for view in scene_with_views.views.slices.values():
        picture = view.pixels()[..., 0].astype(int)
        row, column = view.pixel_of(BRIGHT_RAS)
        bright = np.argwhere(picture > 200)
        # Half a voxel is some pixels here.
        assert picture[row, column] > 200
        assert np.allclose(bright.mean(axis=0), (row, column), atol=8)


def test_three_d_shows_what_the_scene_shows(scene_with_views: SlicerScene) -> None:
    view = scene_with_views.views.three_d
    empty = view.pixels()

    point = scene_with_views.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    point.AddControlPoint(0, 0, 0)
    view.look_from((0, 300, 0), at=(0, 0, 0))

    assert (view.pixels() != empty).any()


def test_views_go_on_after_the_scene_is_closed(scene_with_views: SlicerScene) -> None:
    show(scene_with_views.views, add_volume())
    scene_with_views.scene.Clear(0)

    assert scene_with_views.views.red.pixels().max() == 0
    show(scene_with_views.views, add_volume())
    assert scene_with_views.views.red.pixels().max() > 200


def test_views_are_not_there_unasked(slicer_scene: SlicerScene) -> None:
    with pytest.raises(RuntimeError, match="add_views"):
        _ = slicer_scene.views


def test_the_scene_needs_no_qt() -> None:
    code = "import sys, Testing.host.scene; sys.exit('PySide6' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False, timeout=120
    )

    assert ended.returncode == 0
