"""A whole module runs unchanged: loaded, clicked, photographed, tested, reloaded and quit."""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

import slicer
import slicer.util

from Testing.host.application import Application
from Testing.host.picture import BAR

SAMPLE = Path(__file__).parent / "sample/HostSample.py"


@pytest.fixture
def panel(blind_application: Application) -> Any:
    """The panel of the sample module, selected."""
    panel = blind_application.load(SAMPLE)
    blind_application.select(panel)
    return panel


@pytest.fixture
def volume(blind_application: Application) -> slicer.vtkMRMLScalarVolumeNode:
    voxels = np.zeros((10, 12, 14), np.int16)
    voxels[2:5, 2:5, 2:5] = 500
    return slicer.util.addVolumeFromArray(voxels, name="CT")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The sample module with a mistake in it."""
    code = SAMPLE.read_text()
    assert old in code
    (tmp_path / "HostSample.py").write_text(code.replace(old, new))
    (tmp_path / "Resources").symlink_to(SAMPLE.parent / "Resources")
    return tmp_path / "HostSample.py"


def test_a_module_runs_from_the_first_click_to_the_result(
    blind_application: Application, panel: Any, volume: slicer.vtkMRMLScalarVolumeNode
) -> None:
    assert not panel.ui.applyButton.enabled
    panel.ui.inputSelector.setCurrentNode(volume)
    blind_application.write(panel.ui.thresholdSlider, "123.5")
    assert panel.node.parameterNode.GetParameter("threshold") == "123.5"

    blind_application.click(panel.ui.applyButton)
    assert panel.ui.statusLabel.text == "Working"
    blind_application.wait(lambda: panel.ui.statusLabel.text == "Done")

    assert panel.ui.resultTable.model().item(0, 0).text() == "27"


def test_what_is_disabled_or_hidden_cannot_be_clicked(
    blind_application: Application, panel: Any, volume: slicer.vtkMRMLScalarVolumeNode
) -> None:
    with pytest.raises(ValueError, match="'applyButton' is hidden or disabled"):
        blind_application.click(panel.ui.applyButton)
    blind_application.click(panel.ui.inputsButton)
    with pytest.raises(ValueError, match="'overlayBox' is hidden or disabled"):
        blind_application.click(panel.ui.overlayBox)


def test_a_forgotten_connection_is_noticed(blind_application: Application, tmp_path: Path) -> None:
    path = changed(tmp_path, "panel.setMRMLScene(slicer.mrmlScene)", "pass")
    panel = blind_application.load(path)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")

    assert panel.ui.inputSelector.nodeCount() == 0


def test_a_mistyped_attribute_is_noticed(blind_application: Application, tmp_path: Path) -> None:
    path = changed(tmp_path, "self.timer.interval = 10", "self.timer.intervall = 10")

    with pytest.raises(AttributeError, match="intervall"):
        blind_application.load(path)


def test_a_mistyped_parameter_is_noticed(blind_application: Application, tmp_path: Path) -> None:
    path = changed(tmp_path, "threshold: Annotated", "limit: Annotated")

    with pytest.raises(ValueError, match="no parameter 'threshold'"):
        blind_application.load(path)


def test_an_error_in_a_slot_is_raised_by_the_click(
    blind_application: Application,
    panel: Any,
    volume: slicer.vtkMRMLScalarVolumeNode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(panel, "timer", None)
    panel.ui.inputSelector.setCurrentNode(volume)

    with pytest.raises(AttributeError, match="start"):
        blind_application.click(panel.ui.applyButton)


def test_an_error_in_an_observer_is_raised_in_the_end() -> None:
    def fail(caller: object, event: object) -> None:
        raise KeyError("observer")

    def run() -> None:
        with Application(views=False):
            slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, fail)
            slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")

    with pytest.raises(KeyError, match="observer"):
        run()


def test_waiting_ends(blind_application: Application) -> None:
    with pytest.raises(TimeoutError):
        blind_application.wait(lambda: False, seconds=0.05)


def test_closing_the_scene_begins_anew(panel: Any, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.thresholdSlider.value = 700

    slicer.mrmlScene.Clear(0)

    assert panel.node.inputVolume is None
    assert panel.ui.thresholdSlider.value == 200
    assert not panel.ui.applyButton.enabled


def test_selecting_another_module_leaves_the_first(
    blind_application: Application, panel: Any
) -> None:
    assert panel.parent.isEntered
    again = blind_application.load(SAMPLE)
    blind_application.select(again)

    assert not panel.parent.isEntered
    assert again.parent.isEntered


def test_a_self_test_runs_and_fails(
    blind_application: Application, panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind_application.run_self_test("HostSample")

    monkeypatch.setattr(type(panel.logic), "process", lambda *_: slicer.vtkMRMLTableNode())
    with pytest.raises(AssertionError):
        blind_application.run_self_test("HostSample")


def test_reloading_makes_a_new_panel_and_cleans_up_the_old(panel: Any) -> None:
    panel.timer.start()
    slicer.util.reloadScriptedModule("HostSample")

    again = slicer.modules.HostSampleWidget
    assert again is not panel
    assert type(again) is not type(panel)
    assert not panel.timer.active
    assert slicer.util.getModuleWidget("HostSample") is again


def test_the_module_hears_of_start_and_end(blind_application: Application, panel: Any) -> None:
    heard = []
    slicer.app.connect("aboutToQuit()", lambda: heard.append("quit"))
    assert not slicer.modules.HostSampleInstance.started

    slicer.app.startupCompleted.emit()
    blind_application.close()

    assert slicer_is_left_as_it_was()
    assert heard == ["quit"]


def slicer_is_left_as_it_was() -> bool:
    """Whether nothing of an application is left for the tests that need none."""
    names = ("app", "modules", "selfTests")
    return not any(hasattr(slicer, name) for name in names) and "qt" not in sys.modules


def test_messages_answer_themselves_in_testing_mode(
    blind_application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        # Its documentation promises True here; Slicer 5.12's code compares True with 1024.
        assert not slicer.util.confirmOkCancelDisplay("Download 1 MB?")
        slicer.util.errorDisplay("No model")

    assert {"Download 1 MB?", "No model"} <= set(caplog.messages)


@pytest.mark.parametrize(("button", "answer"), [("OK", True), ("Cancel", False)])
def test_a_dialog_is_answered(
    blind_application: Application, panel: Any, button: str, answer: bool
) -> None:
    slicer.app.setTestingEnabled(False)

    blind_application.answer(button)

    assert blind_application.run(slicer.util.confirmOkCancelDisplay, "Go on?") is answer


def test_an_answer_that_a_dialog_has_not_is_an_error(
    blind_application: Application, panel: Any
) -> None:
    slicer.app.setTestingEnabled(False)
    blind_application.answer("Yes")

    with pytest.raises(ValueError, match=r"no button 'Yes' but \['OK', 'Cancel'\]"):
        blind_application.run(slicer.util.confirmOkCancelDisplay, "Go on?")


def test_files_go_through_slicers_own_functions(
    blind_application: Application, volume: slicer.vtkMRMLScalarVolumeNode, tmp_path: Path
) -> None:
    path = tmp_path / "ct.nrrd"

    slicer.util.saveNode(volume, str(path))
    again = slicer.util.loadVolume(str(path))

    assert again.GetName() == "ct"
    assert np.array_equal(slicer.util.arrayFromVolume(again), slicer.util.arrayFromVolume(volume))


def test_a_child_gets_the_environment_from_before_slicer(
    blind_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCREENER_NOTE", "set")

    assert slicer.util.startupEnvironment()["SCREENER_NOTE"] == "set"


def test_without_views_there_is_no_layout(blind_application: Application) -> None:
    assert slicer.app.layoutManager() is None


def test_a_picture_shows_panel_and_views_and_says_what_it_is(
    slicer_application: Application,
) -> None:
    panel = slicer_application.load(SAMPLE)
    slicer_application.select(panel)
    ramp = np.broadcast_to(np.arange(0, 1400, 100, np.int16), (10, 12, 14)).copy()
    slicer.util.setSliceViewerLayers(background=slicer.util.addVolumeFromArray(ramp), fit=True)

    picture = slicer_application.picture()
    pixels = np.asarray(picture)
    width = panel.parent.width

    assert picture.height >= panel.parent.height + BAR
    assert np.ptp(pixels[: panel.parent.height, :width]) > 200
    assert np.ptp(pixels[:200, width + 10 : width + 200]) > 200
    assert (pixels[-BAR:, :150] > 200).any()
