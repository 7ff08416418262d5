"""A `.ui` file gives the widgets that it names, and a mistake in it is an error."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

import slicer

from Testing.host import ctk_widgets
from Testing.host.application import Application

UI = (Path(__file__).parent / "sample/Resources/UI/HostSample.ui").read_text()
Load = Callable[..., tuple[Any, Any]]


@pytest.fixture(scope="module", autouse=True)
def application() -> Iterator[Application]:
    with Application(views=False) as host:
        yield host


@pytest.fixture(scope="module")
def panel_of(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """A function that loads the sample's panel after some text in it was replaced."""

    def load(old: str = "", new: str = "") -> tuple[Any, Any]:
        assert old in UI
        path = tmp_path_factory.mktemp("ui") / "HostSample.ui"
        path.write_text(UI.replace(old, new) if old else UI)
        panel = slicer.util.loadUI(str(path))
        return panel, slicer.util.childWidgetVariables(panel)

    return load


def test_widgets_are_of_their_classes_with_their_properties(panel_of: Load) -> None:
    _, ui = panel_of()

    assert type(ui.inputSelector) is slicer.qMRMLNodeComboBox
    assert ui.inputSelector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert ui.inputSelector.addEnabled is False
    assert ui.inputsButton.text == "Inputs"
    assert ui.thresholdSlider.maximum == 1000
    assert ui.thresholdSlider.property("SlicerParameterName") == "threshold"
    edit = ctk_widgets.ctkPathLineEdit
    assert ui.pathEdit.filters == edit.Dirs | edit.Readable


def test_the_scene_reaches_what_is_connected(panel_of: Load) -> None:
    panel, ui = panel_of()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")

    panel.setMRMLScene(slicer.mrmlScene)

    assert ui.inputSelector.mrmlScene() is slicer.mrmlScene
    assert ui.inputSelector.nodeCount() == slicer.mrmlScene.GetNumberOfNodesByClass(
        "vtkMRMLScalarVolumeNode"
    )


def test_without_the_connection_the_selector_stays_empty(panel_of: Load) -> None:
    start, end = "<connections>", "</connections>"
    panel, ui = panel_of(UI[UI.index(start) : UI.index(end)], start)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")

    panel.setMRMLScene(slicer.mrmlScene)

    assert ui.inputSelector.nodeCount() == 0
    assert not ui.inputSelector.findChild("QComboBox").enabled


@pytest.mark.parametrize(
    ("old", "new", "error", "text"),
    [
        ('"ctkSliderWidget"', '"ctkSlideWidget"', NotImplementedError, "ctkSlideWidget"),
        ('"maximum"', '"maximun"', ValueError, "ctkSliderWidget has no property 'maximun'"),
        ("mrmlSceneChanged(vtkMRMLScene*)", "mrmlSceneChanged()", ValueError, "has no signal"),
        ("setMRMLScene(vtkMRMLScene*)", "setScene(vtkMRMLScene*)", ValueError, "setScene"),
    ],
)
def test_a_mistake_is_an_error(panel_of: Load, old: str, new: str, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        panel_of(old, new)
