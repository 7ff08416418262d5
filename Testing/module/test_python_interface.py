"""What a script in Slicer calls: waiting or not, with results, errors and a run at a time."""

import json
import time
from typing import TYPE_CHECKING

import pytest
import slicer
import slicer.util

from ScreenerSlicerLib.process.job_maker import STUB
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.screening_error import ScreeningError
from Testing.module.opened import Opened, torso

if TYPE_CHECKING:
    from ScreenerSlicer import ScreenerSlicerLogic


@pytest.fixture
def logic(opened: Opened) -> "ScreenerSlicerLogic":
    """A logic beside that of the panel."""
    return type(opened.widget.logic)(opened.widget.logic.worker)


@pytest.fixture
def scan(opened: Opened) -> slicer.vtkMRMLScalarVolumeNode:
    return slicer.util.addVolumeFromArray(torso(), name="CT")


def test_a_script_waits_for_its_result(
    logic: "ScreenerSlicerLogic", scan: slicer.vtkMRMLScalarVolumeNode
) -> None:
    result = logic.screen(scan, ScreenRequest(threshold=3.5, overlap=0.25, min_volume_ml=0.01))
    assert [row.finding.rank for row in result.rows] == [1, 2]
    assert result.scan_node is scan
    assert result.provenance["parameters"]["overlap"] == 0.25
    assert result.table.settings.threshold == 3.5
    result.make_segments([2])
    assert result.segmentation_node.GetSegmentation().GetNumberOfSegments() == 1


def test_a_script_goes_on_and_looks_again(
    logic: "ScreenerSlicerLogic", scan: slicer.vtkMRMLScalarVolumeNode
) -> None:
    assert logic.screen(scan, wait=False) is None
    assert logic.screening.busy
    with pytest.raises(ScreeningError, match="Another run is on") as raised:
        logic.screen(scan)
    assert raised.value.code == "busy"
    while logic.screening.busy:
        assert logic.screening.poll().state in ("running", "done")
        time.sleep(0.02)
    assert len(logic.screening.result.findings) == 2


def test_a_failure_is_an_exception_with_what_to_do(
    opened: Opened,
    scan: slicer.vtkMRMLScalarVolumeNode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = ["scan.no_body", "There is no body.", "Choose another scan."]
    monkeypatch.setenv("SCREENER_STUB", json.dumps({"fail": "preparing", "error": error}))
    opened.use(STUB)
    logic = opened.widget.logic
    with pytest.raises(ScreeningError, match="There is no body. Choose another scan.") as raised:
        logic.screen(scan)
    assert raised.value.code == "scan.no_body"
    assert raised.value.action == "Choose another scan."
    assert logic.screening.result is None


def test_the_example_of_the_documentation_runs(
    opened: Opened, logic: "ScreenerSlicerLogic", scan: slicer.vtkMRMLScalarVolumeNode
) -> None:
    text = type(logic).__doc__
    code = text.partition("Example::")[2].partition("`screen(node")[0]
    lines = [line[8:] for line in code.splitlines() if line.startswith("        ")]
    code = "\n".join(lines).replace("ScreenerSlicerLogic()", "logic")
    scope = {"slicer": slicer, "logic": logic}
    exec(compile(code, "example", "exec"), scope)  # noqa: S102 (our own documentation)
    assert scope["result"].navigation.current == 1
