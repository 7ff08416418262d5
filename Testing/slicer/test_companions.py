"""Whoever removes a map: nothing of it is left but what someone may have edited."""

import gc

import pytest
import slicer
import vtk

from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.mark import Mark
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.screening import Screening
from Testing.host.scene import SlicerScene
from Testing.slicer.fake_job import Jobs
from Testing.slicer.test_result import screen


def ids(scene: slicer.vtkMRMLScene) -> set[str]:
    """All nodes but the table of colours, with its file, which the maps of a scene share."""
    nodes = (scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes()))
    kept = ("vtkMRMLColorTableNodeFile", "vtkMRMLColorTableStorageNode")
    return {
        one.GetID()
        for one in nodes
        if not (one.GetAttribute("Screener.RarityColours") or one.GetID().startswith(kept))
    }


def shown_by_all_means(screening: Screening, jobs: Jobs, scan_node: object) -> ScreenResult:
    result = screen(screening, jobs, scan_node)
    result.heat_map.legend(True)
    result.outline.show(4.2)
    result.heat_map.render(True)
    result.navigation.go_to(1)
    assert len(result.rows) > 0
    return result


@pytest.mark.parametrize("how", ["by anyone", "by us"])
def test_nothing_is_left_of_a_map_that_goes(
    scene_with_views: SlicerScene,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    screening: Screening,
    jobs: Jobs,
    how: str,
) -> None:
    scene = scene_with_views.scene
    before = ids(scene)
    result = shown_by_all_means(screening, jobs, scan_node)
    if how == "by us":
        result.remove()
    else:
        display = result.map_node.GetDisplayNode()
        scene.RemoveNode(result.map_node)
        # Slicer's own lists leave this one.
        scene.RemoveNode(display)
    assert ids(scene) - before == set()
    for view in scene_with_views.views.slices.values():
        assert view.composite.GetLabelVolumeID() is None


def test_another_map_keeps_what_is_its_own(
    slicer_scene: SlicerScene,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    logics: Logics,
    screening: Screening,
    jobs: Jobs,
) -> None:
    first = shown_by_all_means(screening, jobs, scan_node)
    second = ScreenResult.create(slicer_scene.scene, logics, scan_node, first.rarity.hu, {})
    slicer_scene.scene.RemoveNode(second.map_node)
    assert first.outline.node is not None
    assert first.heat_map.legend_shown
    assert first.heat_map.rendered
    assert first.rows
    assert Mark(slicer_scene.scene).node is not None


def test_what_is_drawn_in_3d_is_freed(
    slicer_scene: SlicerScene,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    screening: Screening,
    jobs: Jobs,
) -> None:
    result = shown_by_all_means(screening, jobs, scan_node)
    scene = slicer_scene.scene
    display = scene.GetFirstNodeByClass("vtkMRMLVolumeRenderingDisplayNode")
    freed: list[str] = []
    display.AddObserver(vtk.vtkCommand.DeleteEvent, lambda node, event: freed.append(event))
    result.remove()
    del display
    gc.collect()
    assert freed
