"""Parameters are typed, checked, kept in the node and shown, as Slicer documents it."""

import enum
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

import slicer
from PySide6 import QtWidgets

from Testing.host import ctk_widgets as ctk
from Testing.host.application import Application
from Testing.host.parameter_node import (
    Choice,
    Default,
    FloatRange,
    RangeBounds,
    WithinRange,
    parameterNodeWrapper,
)


class Speed(enum.Enum):
    """A choice."""

    FAST = 1
    EXACT = 2


@parameterNodeWrapper
class Settings:
    """Every type that there is."""

    volume: slicer.vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(0, 6)] = 3.0
    device: Annotated[str, Choice(["auto", "cpu"])] = "cpu"
    colours: Annotated[FloatRange, RangeBounds(0, 6), Default(FloatRange(1, 4))]
    shown: bool = True
    speed: Speed
    model: Path
    limit: int | None


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    with Application(views=False) as host:
        yield host


@pytest.fixture
def node(application: Application) -> slicer.vtkMRMLScriptedModuleNode:
    application.scene.scene.Clear(0)
    return application.scene.scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def settings(node: slicer.vtkMRMLScriptedModuleNode) -> Settings:
    return Settings(node)


def gui(**widgets: QtWidgets.QWidget) -> SimpleNamespace:
    """Widgets that name a parameter each, as a `.ui` file does."""
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
    return SimpleNamespace(**widgets)


def test_defaults_are_written_into_the_node(
    settings: Any, node: slicer.vtkMRMLScriptedModuleNode
) -> None:
    assert node.GetParameter("threshold") == "3.0"
    assert node.GetParameter("shown") == "True"
    assert settings.colours == FloatRange(1, 4)
    assert settings.speed is Speed.FAST
    assert settings.volume is None
    assert settings.limit is None
    assert settings.model == Path()


def test_values_come_back_from_a_bundle(
    settings: Any, application: Application, tmp_path: Path
) -> None:
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    settings.volume, settings.limit, settings.speed = volume, 5, Speed.EXACT
    settings.colours, settings.model = FloatRange(2, 6), tmp_path

    application.scene.save(tmp_path / "scene.mrb")
    application.scene.load(tmp_path / "scene.mrb")
    again = Settings(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode"))

    assert again.volume.GetName() == "CT"
    assert (again.limit, again.speed, again.model) == (5, Speed.EXACT, tmp_path)
    assert again.colours == FloatRange(2, 6)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("threshold", 7.0, ValueError),
        ("threshold", "3", TypeError),
        ("threshold", None, ValueError),
        ("device", "gpu", ValueError),
        ("colours", FloatRange(-1, 5), ValueError),
        ("shown", 1, TypeError),
        ("volume", "vtkMRMLScalarVolumeNode1", TypeError),
        ("limit", 1.5, TypeError),
    ],
)
def test_a_wrong_value_is_an_error_and_changes_nothing(
    settings: Any, name: str, value: object, error: type[Exception]
) -> None:
    before = getattr(settings, name)

    with pytest.raises(error):
        setattr(settings, name, value)

    assert getattr(settings, name) == before


def test_a_type_that_slicer_cannot_keep_is_an_error() -> None:
    class Wrong:
        values: set

    with pytest.raises(Exception, match="values cannot be a parameter"):
        parameterNodeWrapper(Wrong)


def test_widgets_and_node_show_the_same(settings: Any, application: Application) -> None:
    slider, box, check = ctk.ctkSliderWidget(), QtWidgets.QComboBox(), QtWidgets.QCheckBox()
    ends, speed, path = ctk.ctkRangeWidget(), QtWidgets.QComboBox(), ctk.ctkPathLineEdit()
    settings.connectGui(
        gui(threshold=slider, device=box, shown=check, colours=ends, speed=speed, model=path)
    )
    assert (slider.minimum, slider.maximum, slider.value) == (0, 6, 3)
    assert (box.currentText, speed.currentText, ends.maximumValue) == ("cpu", "FAST", 4)

    slider.value, box.currentIndex, check.checked = 4.5, 0, False
    ends.minimumValue, speed.currentIndex, path.currentPath = 2, 1, "/models"
    assert (settings.threshold, settings.device, settings.shown) == (4.5, "auto", False)
    assert (settings.colours, settings.speed) == (FloatRange(2, 4), Speed.EXACT)
    assert settings.model == Path("/models")

    settings.threshold, settings.device = 1.5, "cpu"
    assert (slider.value, box.currentText) == (1.5, "cpu")


def test_a_selector_offers_what_the_parameter_takes(settings: Any) -> None:
    selector = slicer.qMRMLNodeComboBox()
    selector.setMRMLScene(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")

    settings.connectGui(gui(volume=selector))
    selector.setCurrentNode(node)

    assert selector.nodes() == [node]
    assert settings.volume is node


def test_a_widget_that_names_no_parameter_is_an_error(settings: Any) -> None:
    with pytest.raises(ValueError, match="no parameter 'treshold'"):
        settings.connectGui(gui(treshold=ctk.ctkSliderWidget()))


def test_a_widget_of_the_wrong_kind_is_an_error(settings: Any) -> None:
    with pytest.raises(RuntimeError, match="a QSpinBox cannot show threshold, a float"):
        settings.connectGui(gui(threshold=QtWidgets.QSpinBox()))


def test_a_slider_without_bounds_is_an_error(node: slicer.vtkMRMLScriptedModuleNode) -> None:
    @parameterNodeWrapper
    class Unbounded:
        threshold: float = 1.0

    with pytest.raises(RuntimeError, match="unbounded"):
        Unbounded(node).connectGui(gui(threshold=ctk.ctkSliderWidget()))


def test_what_is_disconnected_goes_its_own_way(settings: Any) -> None:
    slider = ctk.ctkSliderWidget()
    tag = settings.connectGui(gui(threshold=slider))

    settings.disconnectGui(tag)
    slider.value = 5.0

    assert settings.threshold == 3.0
    settings.threshold = 1.0
    assert slider.value == 5.0


def test_after_the_scene_was_closed_there_are_defaults(
    settings: Any, node: slicer.vtkMRMLScriptedModuleNode
) -> None:
    settings.threshold = 5.0
    for name in ("threshold", "shown"):
        node.UnsetParameter(name)

    assert settings.threshold == 3.0
    assert settings.shown
