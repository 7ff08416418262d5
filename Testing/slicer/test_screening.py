"""A screening's states, and what guards them: it never shows what belongs to something else."""

import numpy as np
import pytest
import slicer

from ctscreener.findings import find
from ScreenerSlicerLib import screening as screening_module
from ScreenerSlicerLib.install.causes import JobError
from ScreenerSlicerLib.process.timeline import JobProgress
from ScreenerSlicerLib.scene.heat_map import HeatMap
from ScreenerSlicerLib.screening import JobState, Screening
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps
from Testing.slicer.fake_job import PROVENANCE, REQUEST, Jobs, settled


def maps(scene: slicer.vtkMRMLScene) -> int:
    """How many volumes there are beside the scan."""
    return scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") - 1


def test_a_run_goes_from_idle_to_a_result(
    screening: Screening, jobs: Jobs, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    assert screening.poll().state == "idle"
    screening.start(scan_node, REQUEST)
    (job,) = jobs.made
    assert (job.request, job.python) == (REQUEST, ["python"])
    assert np.array_equal(job.scan.hu, lumps.hu())
    job.progress = JobProgress("scoring", 3, 12, 0.25, 9.0, "")
    update = screening.poll()
    assert (update.state, update.progress) == ("running", job.progress)
    assert screening.busy
    job.state = "done"
    assert settled(screening).state == "done"
    assert job.closed
    assert screening.poll().state == "done"
    result = screening.result
    assert result is not None
    assert result.findings == find(lumps.rarity(), job.scan, lumps.SETTINGS)
    assert np.array_equal(result.rarity.hu, lumps.rarity(), equal_nan=True)
    assert result.scan_node is scan_node
    assert result.provenance == PROVENANCE
    assert result.segmentation_node is None
    assert [row.place.side for row in result.rows if row.place] == ["left", "midline", "right"]


def test_the_result_is_shown_on_its_scan(
    scene_with_views: SlicerScene,
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    screening.start(scan_node, REQUEST)
    jobs.finish(screening)
    assert screening.result is not None
    for view in scene_with_views.views.slices.values():
        assert view.composite.GetBackgroundVolumeID() == scan_node.GetID()
        assert view.composite.GetForegroundVolumeID() == screening.result.map_node.GetID()
    assert screening.result.map_node.GetTransformNodeID() == scan_node.GetTransformNodeID()
    assert screening.result.heat_map.threshold == 3.0


def test_a_second_start_does_nothing_while_one_runs(
    screening: Screening, jobs: Jobs, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    screening.start(scan_node, REQUEST)
    screening.start(scan_node, REQUEST)
    screening.cancel()
    screening.start(scan_node, REQUEST)
    assert len(jobs.made) == 1


def test_cancelling_takes_until_the_job_has_ended(
    slicer_scene: SlicerScene,
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    screening.start(scan_node, REQUEST)
    screening.cancel()
    assert screening.poll().state == "cancelling"
    assert screening.busy
    jobs.made[0].state = "cancelled"
    assert screening.poll().state == "cancelled"
    assert jobs.made[0].closed
    assert maps(slicer_scene.scene) == 0
    screening.start(scan_node, REQUEST)
    jobs.finish(screening)


def test_a_failure_is_told_with_its_error(
    screening: Screening, jobs: Jobs, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    screening.start(scan_node, REQUEST)
    jobs.made[0].state = "failed"
    jobs.made[0].error = JobError("x", "No room.", "Make some.")
    update = screening.poll()
    assert (update.state, update.error) == ("failed", jobs.made[0].error)
    assert jobs.made[0].closed
    assert screening.result is None


def test_closing_ends_a_run_at_once(
    screening: Screening, jobs: Jobs, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    screening.close()
    screening.start(scan_node, REQUEST)
    screening.close()
    assert jobs.made[0].closed
    assert not screening.busy
    assert screening.poll().state == "cancelled"


def close(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.GetScene().Clear(0)


def remove(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.GetScene().RemoveNode(node)


def edit(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.GetImageData().GetPointData().GetScalars().SetComponent(5, 0, 99)
    node.GetImageData().Modified()


def turn(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.SetSpacing(1.0, 1.0, 1.0)


@pytest.mark.parametrize("ends", ["done", "cancelled", "failed"])
@pytest.mark.parametrize("happens", [close, remove, edit, turn])
def test_a_result_is_dropped_when_its_scan_is_not_what_it_was(
    slicer_scene: SlicerScene,
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    happens: object,
    ends: JobState,
) -> None:
    screening.start(scan_node, REQUEST)
    assert callable(happens)
    happens(scan_node)
    update = screening.poll()
    assert update.state == "cancelling"
    assert "CT" in (update.reason or "")
    assert jobs.made[0].state == "cancelling"
    # The job may have been done just then.
    jobs.made[0].state = ends
    update = screening.poll()
    assert update.state == "dropped"
    assert "CT" in (update.reason or "")
    assert screening.result is None
    assert jobs.made[0].closed
    nodes = slicer_scene.scene.GetNumberOfNodesByClass("vtkMRMLTableNode")
    assert (maps(slicer_scene.scene) <= 0, nodes) == (True, 0)


def test_moving_the_scan_under_a_transform_drops_nothing(
    slicer_scene: SlicerScene, screening: Screening, jobs: Jobs
) -> None:
    scan_node = lumps.add_scan(slicer_scene.scene, lumps.GEOMETRIES["lying"])
    screening.start(scan_node, REQUEST)
    parent = lumps.add_transform(slicer_scene.scene, lumps.turned(30))
    scan_node.SetAndObserveTransformNodeID(parent.GetID())
    jobs.finish(screening)
    assert screening.result is not None
    assert screening.result.map_node.GetTransformNodeID() == parent.GetID()


def test_the_map_comes_piece_by_piece(
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screening_module, "TURN_SECONDS", 0.0)
    screening.start(scan_node, REQUEST)
    jobs.made[0].state = "done"
    turns = 0
    while screening.poll().state == "running":
        assert screening.busy
        assert screening.result is None
        turns += 1
    assert turns >= 5
    assert screening.poll().state == "done"
    assert screening.result is not None
    assert len(screening.result.rows) == 3


@pytest.mark.parametrize("happens", [remove, edit, "cancel", "close", "fault"])
def test_what_happens_while_the_map_is_taken_leaves_nothing_of_it(
    slicer_scene: SlicerScene,
    screening: Screening,
    jobs: Jobs,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    monkeypatch: pytest.MonkeyPatch,
    happens: object,
) -> None:
    monkeypatch.setattr(screening_module, "TURN_SECONDS", 0.0)
    nodes = slicer_scene.scene.GetNumberOfNodes
    screening.start(scan_node, REQUEST)
    jobs.made[0].state = "done"
    before = nodes()
    while nodes() < before + 3:
        screening.poll()
    assert screening.busy
    if callable(happens):
        happens(scan_node)
        assert screening.poll().state in ("cancelling", "dropped")
        assert settled(screening).state == "dropped"
    elif happens == "cancel":
        screening.cancel()
        assert settled(screening).state == "cancelled"
    elif happens == "close":
        screening.close()
    else:
        monkeypatch.setattr(HeatMap, "legend", broken)
        with pytest.raises(ZeroDivisionError):
            settled(screening)
    assert not screening.busy
    assert screening.result is None
    assert maps(slicer_scene.scene) == (-1 if happens is remove else 0)
    assert slicer_scene.scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0
    assert jobs.made[0].closed


def broken(heat_map: HeatMap, shown: bool) -> None:
    raise ZeroDivisionError
