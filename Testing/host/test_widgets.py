"""The stand-ins do what the documentation says of CTK's and Slicer's widgets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

import slicer
import vtk
from PySide6 import QtWidgets

from Testing.host import ctk_widgets as ctk
from Testing.host.application import Application

VOLUME = "vtkMRMLScalarVolumeNode"


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    with Application(views=False) as host:
        yield host


@pytest.fixture(autouse=True)
def scene(application: Application) -> slicer.vtkMRMLScene:
    application.scene.scene.Clear(0)
    return application.scene.scene


@pytest.fixture
def selector(scene: slicer.vtkMRMLScene) -> QtWidgets.QWidget:
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = [VOLUME]
    box.setMRMLScene(scene)
    return box


def collect(widget: QtWidgets.QWidget, *signals: str) -> list[object]:
    """What these signals bring from now on."""
    came: list[object] = []
    for signal in signals:
        widget.connect(signal, lambda *values: came.append(values))
    return came


def test_a_selector_follows_the_scene_and_never_chooses(
    selector: Any, scene: slicer.vtkMRMLScene
) -> None:
    came = collect(selector, "currentNodeChanged(vtkMRMLNode*)")

    node = scene.AddNewNodeByClass(VOLUME, "CT")
    scene.AddNewNodeByClass("vtkMRMLModelNode", "Model")

    assert selector.nodes() == [node]
    assert selector.currentNode() is None
    assert came == []


def test_a_selector_tells_what_was_chosen_and_that_it_went(
    selector: Any, scene: slicer.vtkMRMLScene
) -> None:
    node = scene.AddNewNodeByClass(VOLUME, "CT")
    came = collect(selector, "currentNodeChanged(vtkMRMLNode*)", "currentNodeIDChanged(QString)")

    node_id = node.GetID()
    selector.setCurrentNode(node)
    selector.setCurrentNode(node)
    scene.RemoveNode(node)

    assert came == [(node,), (node_id,), (None,), ("",)]


def test_a_selector_leaves_out_what_it_is_told(selector: Any, scene: slicer.vtkMRMLScene) -> None:
    hidden = scene.AddNewNodeByClass(VOLUME, "Hidden")
    hidden.SetHideFromEditors(True)
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    map_node = scene.AddNewNodeByClass(VOLUME, "Map")
    map_node.SetAttribute("Kind", "rarity")
    selector.setMRMLScene(None)
    selector.setMRMLScene(scene)

    assert selector.nodes() == [labels, map_node]
    selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert selector.nodes() == [map_node]
    selector.addAttribute(VOLUME, "Kind", "other")
    assert selector.nodes() == []


def test_a_selector_can_offer_none(selector: Any, scene: slicer.vtkMRMLScene) -> None:
    scene.AddNewNodeByClass(VOLUME, "CT")
    selector.noneEnabled = True
    selector.noneDisplay = "Nothing"

    box = selector.findChild("QComboBox")

    assert [box.itemText(i) for i in range(box.count)] == ["Nothing", "CT"]
    assert selector.nodeCount() == 1


def test_a_selector_makes_nodes(selector: Any) -> None:
    selector.baseName = "Output"

    node = selector.addNode()

    assert node.GetName() == "Output"
    assert selector.currentNode() is node


def test_what_is_deleted_is_called_no_longer() -> None:
    scene, box = slicer.vtkMRMLScene(), slicer.qMRMLNodeComboBox()
    box.setMRMLScene(scene)
    assert scene.HasObserver(scene.NodeAddedEvent)

    box.delete()

    assert not scene.HasObserver(scene.NodeAddedEvent)


def test_a_stand_in_refuses_a_mistyped_attribute(selector: Any) -> None:
    for widget in (selector, ctk.ctkSliderWidget(), ctk.ctkCollapsibleButton()):
        with pytest.raises(AttributeError, match="has no property"):
            widget.nodeTyps = []


def test_a_slider_keeps_its_value_within_bounds() -> None:
    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum = 1, 6
    came = collect(slider, "valueChanged(double)")

    slider.value = 3.25
    slider.setValue(100)

    assert slider.value == 6
    assert came == [(3.25,), (6.0,)]


def test_slider_and_box_show_the_same(application: Application) -> None:
    slider = ctk.ctkSliderWidget()
    slider.setRange(0, 10)
    slider.show()

    application.write(slider, "2.5")
    bar = slider.findChild("QSlider")

    assert slider.value == 2.5
    assert bar.value == pytest.approx(bar.maximum / 4)
    bar.value = bar.maximum
    assert slider.value == 10


def test_a_range_never_turns_round() -> None:
    ends = ctk.ctkRangeWidget()
    ends.setRange(-1000, 1000)
    ends.setValues(-100, 200)
    came = collect(ends, "valuesChanged(double,double)")

    ends.minimumValue = 300

    assert (ends.minimumValue, ends.maximumValue) == (300, 300)
    assert came[-1] == (300, 300)


def test_a_section_folds_when_its_header_is_clicked(application: Application) -> None:
    window = QtWidgets.QWidget()
    section = ctk.ctkCollapsibleButton("Inputs")
    QtWidgets.QVBoxLayout(window).addWidget(section)
    label = QtWidgets.QLabel("inside")
    QtWidgets.QVBoxLayout(section).addWidget(label)
    window.show()

    application.click(section)

    assert section.collapsed
    assert not label.visible
    section.collapsed = False
    assert label.visible


def test_a_path_says_whether_it_is_there(tmp_path: Path) -> None:
    edit = ctk.ctkPathLineEdit()
    came = collect(edit, "validInputChanged(bool)", "currentPathChanged(QString)")

    edit.currentPath = str(tmp_path)
    edit.setCurrentPath(str(tmp_path / "no"))

    assert came == [(True,), (str(tmp_path),), (False,), (str(tmp_path / "no"),)]


def test_a_folder_is_absolute() -> None:
    button = ctk.ctkDirectoryButton()
    came = collect(button, "directoryChanged(QString)")

    button.directory = "models"

    assert Path(button.directory) == Path("models").absolute()
    assert came == [(button.directory,)]


def test_a_table_shows_its_node_and_writes_into_it(scene: slicer.vtkMRMLScene) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLTableNode")
    column = vtk.vtkStringArray()
    column.SetName("Comment")
    column.InsertNextValue("old")
    node.AddColumn(column)
    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(node)

    view.model().item(0, 0).setText("typed")
    assert node.GetCellText(0, 0) == "typed"
    node.SetCellText(0, 0, "by code")

    assert view.model().item(0, 0).text() == "by code"
    assert view.model().horizontalHeaderItem(0).text() == "Comment"
