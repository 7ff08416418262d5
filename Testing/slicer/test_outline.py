"""The second threshold's line runs around the voxels that are at or above it."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from ScreenerSlicerLib.scene.heat_map import HeatMap
from ScreenerSlicerLib.scene.outline import Outline
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import world_point
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps
from Testing.slicer.pictures import coloured, seen_values

BOX = np.ones((3, 3))


@pytest.mark.parametrize("name", ["lying", "left-handed, tilted and transformed"])
def test_the_line_is_the_border_of_the_second_threshold(
    scene_with_views: SlicerScene, logics: Logics, name: str
) -> None:
    geometry = lumps.GEOMETRIES[name]
    scan_node = lumps.add_scan(scene_with_views.scene, geometry)
    heat_map = HeatMap.create(scene_with_views.scene, logics, lumps.rarity(), scan_node, "map")
    heat_map.show(scan_node)
    heat_map.set_visible(False)
    view = scene_with_views.views.red
    scene_with_views.views.fit()
    place = world_point(scan_node, tuple((geometry.affine @ (5, 10, 30, 1))[:3]))
    view.node.JumpSliceByCentering(*place)
    bare = view.pixels()
    outline = Outline(scene_with_views.scene, heat_map)
    for threshold in (3.0, 6.0):
        outline.show(threshold)
        inside = seen_values(view, heat_map.node) >= threshold
        line = coloured(view.pixels())
        border = binary_dilation(inside, BOX) & ~binary_erosion(inside, BOX, 3)
        assert inside.any()
        assert not (line & ~border).any()
        assert line.sum() > 0.7 * (inside & ~binary_erosion(inside)).sum()
    outline.hide()
    assert outline.node is None
    assert np.array_equal(view.pixels(), bare)


def test_there_is_one_line_at_a_time_and_hiding_none_is_fine(
    slicer_scene: SlicerScene, logics: Logics
) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    heat_map = HeatMap.create(slicer_scene.scene, logics, lumps.rarity(), scan_node, "map")
    outline = Outline(slicer_scene.scene, heat_map)
    outline.hide()
    for threshold in (3.0, 4.0):
        outline.show(threshold)
    assert slicer_scene.scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 1
    outline.hide()
    assert slicer_scene.scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0
