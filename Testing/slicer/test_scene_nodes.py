"""Names that are free, and nodes that go with all that shows them."""

import slicer

from ScreenerSlicerLib.scene.scene_nodes import free_name, remove_with_display
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps


def volume(scene: slicer.vtkMRMLScene, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    return scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def test_a_name_that_is_taken_gets_the_first_free_number(slicer_scene: SlicerScene) -> None:
    scene = slicer_scene.scene
    assert free_name(scene, "map") == "map"
    first, third = volume(scene, "map"), volume(scene, "map 3")
    assert free_name(scene, "map") == "map 2"
    volume(scene, "map 2")
    assert free_name(scene, "map") == "map 4"
    # What is about to go leaves its name; other kinds of nodes take none.
    assert free_name(scene, "map", [first]) == "map"
    assert free_name(scene, "map", [third]) == "map 3"
    scene.AddNewNodeByClass("vtkMRMLTableNode", "table")
    assert free_name(scene, "table") == "table"


def test_a_node_goes_with_what_shows_and_stores_it(slicer_scene: SlicerScene) -> None:
    scene = slicer_scene.scene
    count = scene.GetNumberOfNodes()
    node = lumps.add_scan(scene, lumps.GEOMETRIES["lying"])
    node.AddDefaultStorageNode()
    assert scene.GetNumberOfNodes() >= count + 3
    remove_with_display(scene, node)
    assert scene.GetNumberOfNodes() == count
    remove_with_display(scene, None)
    assert scene.GetNumberOfNodes() == count
