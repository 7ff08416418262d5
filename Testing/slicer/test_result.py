"""A result: found anew at any threshold, reviewed, made into segments, and kept by a file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer

from ctscreener.errors import InputError
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.findings_table import CONTENT
from ScreenerSlicerLib.scene.mark import Mark
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.screening import Screening
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps
from Testing.slicer.fake_job import REQUEST, Jobs

BESIDE = replace(REQUEST, keep_earlier=True)


def screen(
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    request: ScreenRequest = REQUEST,
) -> ScreenResult:
    """Screen a volume from start to end."""
    screening.start(scan_node, request)
    jobs.finish(screening)
    assert screening.result is not None
    return screening.result


@pytest.fixture
def result(
    screening: Screening, jobs: Jobs, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> ScreenResult:
    """What came of screening the lumps."""
    return screen(screening, jobs, scan_node)


def test_another_threshold_finds_anew_without_a_job(
    screening: Screening, jobs: Jobs, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    screening.set_threshold(4.2)
    result = screen(screening, jobs, scan_node)
    result.table.review(1, "accepted", "seen")
    screening.set_threshold(4.2)
    assert [round(one.peak_rarity, 1) for one in result.findings] == [7.0, 5.5]
    assert result.rows[0].comment == "seen"
    assert result.heat_map.threshold == 4.2
    screening.set_threshold(2.99, min_volume_ml=2.0)
    assert [round(one.peak_rarity, 1) for one in result.findings] == [7.0]
    screening.set_threshold(3.0)
    assert len(result.findings) == 1
    screening.set_threshold(3.0, 0.05, most=2)
    assert [round(one.peak_rarity, 1) for one in result.findings] == [7.0, 5.5]
    assert (result.table.settings.most, result.table.beyond.total) == (2, 3)
    screening.set_threshold(3.5)
    assert result.table.settings.most == 2
    assert len(jobs.made) == 1


def test_a_threshold_needs_the_scan_that_was_screened(
    slicer_scene: SlicerScene,
    screening: Screening,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    result: ScreenResult,
) -> None:
    scan_node.SetSpacing(1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="on the grid on which it was screened"):
        screening.set_threshold(4.2)
    slicer_scene.scene.RemoveNode(scan_node)
    with pytest.raises(InputError, match="in the scene, found it removed"):
        screening.set_threshold(4.2)
    assert len(result.findings) == 3


def test_a_removed_map_is_no_result_and_a_removed_table_is_made_again(
    slicer_scene: SlicerScene, screening: Screening, result: ScreenResult
) -> None:
    slicer_scene.scene.RemoveNode(result.table_node)
    assert result.rows == []
    screening.set_threshold(3.0, 0.05)
    assert len(result.rows) == 3
    slicer_scene.scene.RemoveNode(result.map_node)
    assert screening.result is None
    screening.set_threshold(3.0)


def test_screening_again_beside_the_earlier_map_keeps_the_reviews(
    screening: Screening, jobs: Jobs, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    first = screen(screening, jobs, scan_node, BESIDE)
    first.table.review(2, "rejected", "vessel")
    second = screen(screening, jobs, scan_node, BESIDE)
    assert second.map_node is not first.map_node
    assert [row.comment for row in second.rows] == ["", "vessel", ""]
    second.table.review(2, "accepted", "no vessel")
    third = screen(screening, jobs, scan_node, BESIDE)
    names = [one.map_node.GetName() for one in screening.results()]
    assert names == ["CT rarity", "CT rarity 2", "CT rarity 3"]
    assert [row.comment for row in third.rows] == ["", "no vessel", ""]
    # Of two words on one peak only the newer was taken over.
    assert len(json.loads(third.table_node.GetAttribute(CONTENT))["reviews"]) == 1
    assert [row.comment for row in first.rows] == ["", "vessel", ""]
    assert [one.map_node for one in screening.results()][:2] == [first.map_node, second.map_node]
    assert screening.take_up(first.map_node)
    assert screening.result is not None
    assert screening.result.map_node is first.map_node


def test_screening_again_replaces_the_earlier_map_and_all_that_shows_it(
    slicer_scene: SlicerScene,
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    other = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    screen(screening, jobs, other)
    first = screen(screening, jobs, scan_node)
    nodes = slicer_scene.scene.GetNumberOfNodes()
    names = [first.map_node.GetName(), first.table_node.GetName()]
    first.table.review(2, "rejected", "vessel")
    first.outline.show(4.0)
    first.heat_map.render(True)
    second = screen(screening, jobs, scan_node)
    assert first.map_node.GetScene() is None
    assert slicer_scene.scene.GetNumberOfNodes() == nodes
    assert [second.map_node.GetName(), second.table_node.GetName()] == names
    assert [row.comment for row in second.rows] == ["", "vessel", ""]
    assert [one.scan_node for one in screening.results()] == [other, scan_node]
    second.make_segments([1])
    segments = second.segmentation_node
    third = screen(screening, jobs, scan_node)
    assert third.segmentation_node is None
    assert segments is not None
    assert segments.GetScene() is slicer_scene.scene


def test_a_run_that_fails_leaves_the_earlier_map(
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    result: ScreenResult,
) -> None:
    screening.start(scan_node, REQUEST)
    jobs.made[-1].state = "failed"
    assert screening.poll().state == "failed"
    assert len(result.rows) == 3
    assert [one.map_node for one in screening.results()] == [result.map_node]


def test_segments_and_statistics_are_made_of_what_is_asked(result: ScreenResult) -> None:
    statistics = result.make_segments([1, 3])
    node = result.segmentation_node
    assert node is not None
    assert node.GetSegmentation().GetNumberOfSegments() == 2
    assert [one.rank for one in statistics] == [1, 3]
    assert [one.voxels for one in statistics] == [
        one.voxels for one in result.findings if one.rank != 2
    ]
    assert result.statistics_node is not None
    assert result.statistics_node.GetNumberOfRows() == 2
    result.make_segments([2])
    assert result.segmentation_node is not node
    assert node.GetSegmentation().GetNumberOfSegments() == 2


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", ["transformed", "left-handed, tilted and transformed"])
def test_a_scene_that_is_opened_again_is_the_same(
    scene_with_views: SlicerScene,
    logics: Logics,
    screening: Screening,
    jobs: Jobs,
    tmp_path: Path,
    name: str,
    fresh: bool,
) -> None:
    scan_node = lumps.add_scan(scene_with_views.scene, lumps.GEOMETRIES[name])
    result = screen(screening, jobs, scan_node)
    scene_with_views.views.fit()
    result.navigation.go_to(1)
    result.heat_map.set_opacity(0.55)
    result.heat_map.set_range(1.0, 5.0)
    result.outline.show(4.2)
    result.heat_map.render(True)
    screening.set_threshold(2.95)
    result.table.review(2, "unsure", 'bowel? "gas"\nlook again')
    result.make_segments([1, 2])
    # The mark is the reader's of this hour.
    Mark(scene_with_views.scene).remove(result.map_node)
    before, pictures = said(result), drawn(scene_with_views)
    scene_with_views.save(tmp_path / "scene.mrb")
    other = SlicerScene() if fresh else scene_with_views
    other.add_views()
    other.load(tmp_path / "scene.mrb")
    for name_of_view, picture in drawn(other).items():
        # Files keep places to a few digits: a pixel on the edge of a voxel may fall beside it.
        assert np.any(picture != pictures[name_of_view], axis=-1).mean() < 2e-4
    again = Screening(other.scene, logics, ["python"], jobs)
    assert again.take_up()
    assert again.result is not None
    assert said(again.result) == before
    assert [one.voxels for one in again.result.make_segments([1, 2])] == [192, 7]
    again.set_threshold(3.0)
    assert [row.verdict for row in again.result.rows] == ["", "unsure", ""]
    assert [one.voxels for one in again.result.make_segments([1, 2, 3])] == [192, 7, 96]
    if fresh:
        other.close()


def said(result: ScreenResult) -> tuple[object, ...]:
    """What a result tells, but for how voxels are counted, which a file may change."""
    rows = [
        (row.finding.peak_ras, row.finding.volume_ml, row.place, row.verdict, row.comment)
        for row in result.rows
    ]
    heat_map, segments = result.heat_map, result.segmentation_node
    shown = (
        heat_map.threshold,
        heat_map.opacity,
        heat_map.colour_range,
        heat_map.visible,
        heat_map.rendered,
    )
    count = segments.GetSegmentation().GetNumberOfSegments() if segments else 0
    return rows, result.table.settings, result.provenance, shown, count


def drawn(host: SlicerScene) -> dict[str, np.ndarray]:
    """What the slice views show."""
    views = host.views.slices
    for view in views.values():
        # As the layout does after a scene was opened; segments are drawn then.
        view.node.Modified()
    return {name: view.pixels() for name, view in views.items()}


def test_a_scene_without_results_has_none_to_take_up(screening: Screening) -> None:
    assert not screening.take_up()
    assert screening.results() == []
