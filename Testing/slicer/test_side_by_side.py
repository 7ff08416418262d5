"""The bare scan beside the scan with its map: what is seen, what moves along, what comes back."""

import numpy as np
import pytest
import slicer

from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.navigation import jump
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import world_point
from Testing.host.scene import FOUR_UP, SIDE_BY_SIDE, SlicerScene
from Testing.slicer import lumps
from Testing.slicer.pictures import coloured


@pytest.fixture
def result(scene_with_views: SlicerScene, logics: Logics) -> ScreenResult:
    """A map that is shown, with its rarest voxel in the middle of every view."""
    scene = scene_with_views.scene
    scan_node = lumps.add_scan(scene, lumps.GEOMETRIES["transformed"])
    made = ScreenResult.create(scene, logics, scan_node, lumps.rarity(), {})
    made.heat_map.show(scan_node)
    made.heat_map.legend(True)
    scene_with_views.views.fit()
    peak = (lumps.LYING @ (5, 10, 30, 1))[:3]
    place = world_point(scan_node, (float(peak[0]), float(peak[1]), float(peak[2])))
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *place, 0)
    return made


def pictures(host: SlicerScene) -> list[np.ndarray]:
    return [view.pixels() for view in host.views.slices.values()]


def arrangement(host: SlicerScene) -> int:
    return host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()


def test_the_left_is_bare_and_the_right_has_the_map_on_the_same_slice(
    scene_with_views: SlicerScene, result: ScreenResult
) -> None:
    result.outline.show(6.0)
    before = pictures(scene_with_views)
    result.side_by_side.show()
    assert arrangement(scene_with_views) == SIDE_BY_SIDE
    left, right = scene_with_views.views.in_layout()[0]
    bare, mapped = left.pixels(), right.pixels()
    colours = coloured(mapped)
    assert colours.sum() > 50
    assert not coloured(bare).any()
    assert np.array_equal(mapped, before[0])
    # Beside the colours and the legend, which is on the right, the same scan at the same place.
    same = ~colours[:, :100]
    assert (mapped[:, :100][same] > 0).any()
    assert np.array_equal(mapped[:, :100][same], bare[:, :100][same])


def test_views_side_by_side_move_together(
    scene_with_views: SlicerScene, result: ScreenResult
) -> None:
    result.side_by_side.show()
    red, yellow = scene_with_views.views.red, scene_with_views.views.yellow
    for mover, follower, offset in [(red, yellow, 9.0), (yellow, red, -5.0)]:
        mover.logic.StartSliceOffsetInteraction()
        mover.logic.SetSliceOffset(offset)
        mover.logic.EndSliceOffsetInteraction()
        assert follower.logic.GetSliceOffset() == pytest.approx(offset)


def test_what_is_changed_meanwhile_leaves_the_left_bare(
    scene_with_views: SlicerScene, result: ScreenResult
) -> None:
    result.side_by_side.show()
    result.side_by_side.show()
    result.heat_map.set_opacity(1.0)
    result.outline.show(4.0)
    result.heat_map.show(result.scan_node)
    assert not coloured(scene_with_views.views.red.pixels()).any()
    assert coloured(scene_with_views.views.yellow.pixels()).any()


def test_everything_comes_back(scene_with_views: SlicerScene, result: ScreenResult) -> None:
    result.outline.show(6.0)
    views = scene_with_views.views.slices.values()
    linked = [view.composite.GetLinkedControl() for view in views]
    before = pictures(scene_with_views)
    for _ in range(2):
        result.side_by_side.show()
        result.side_by_side.hide()
    assert arrangement(scene_with_views) == FOUR_UP
    assert [view.node.GetOrientation() for view in views] == ["Axial", "Sagittal", "Coronal"]
    assert [view.composite.GetLinkedControl() for view in views] == linked
    for here, there in zip(pictures(scene_with_views), before, strict=True):
        assert np.array_equal(here, there)
    assert not result.side_by_side.shown


def test_who_went_on_meanwhile_stays_there(
    scene_with_views: SlicerScene, result: ScreenResult
) -> None:
    yellow = scene_with_views.views.yellow
    result.side_by_side.show()
    place = jump(scene_with_views.scene, result.map_node, (3.0, -4.0, 5.0))
    result.side_by_side.hide()
    normal = [yellow.node.GetSliceToRAS().GetElement(row, 2) for row in range(3)]
    centre = [yellow.node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    assert yellow.node.GetOrientation() == "Sagittal"
    assert np.dot(np.subtract(place, centre), normal) == pytest.approx(0.0, abs=1e-6)


def test_without_views_nothing_happens(slicer_scene: SlicerScene, logics: Logics) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    result = ScreenResult.create(slicer_scene.scene, logics, scan_node, lumps.rarity(), {})
    result.side_by_side.show()
    assert not result.side_by_side.shown
    result.side_by_side.hide()
    assert arrangement(slicer_scene) == FOUR_UP
