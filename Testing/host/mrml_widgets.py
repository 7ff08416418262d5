"""Stand-ins for Slicer's own widgets; the selectors of nodes are in a file of their own."""

from typing import ClassVar

import slicer
import vtk
from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Signal

from Testing.host.ctk_sliders import ctkRangeWidget, ctkSliderWidget
from Testing.host.node_selector import qMRMLColorTableComboBox, qMRMLNodeComboBox
from Testing.host.observation import Observation
from Testing.host.stand_in import kept, stands_for_cpp


@stands_for_cpp
class qMRMLWidget(QtWidgets.QWidget):
    """A widget that hands its scene on, to whatever is connected to `mrmlSceneChanged`."""

    vtk_signals: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}
    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """The scene."""
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Use this scene, and hand it on."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@stands_for_cpp
class qSlicerWidget(qMRMLWidget):
    """A widget of the application."""


@stands_for_cpp
class qMRMLTableView(QtWidgets.QTableView):
    """Shows a table node, and writes what is typed into it."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: slicer.vtkMRMLTableNode | None = None
        self._scene: slicer.vtkMRMLScene | None = None
        self._observation = Observation(self, self._fill)
        self._items = QtGui.QStandardItemModel(self)
        self.setModel(self._items)
        self._items.itemChanged.connect(self._on_typed)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Belong to this scene."""
        self._scene = scene

    def mrmlTableNode(self) -> slicer.vtkMRMLTableNode | None:
        """The node."""
        return self._node

    def setMRMLTableNode(self, node: slicer.vtkMRMLTableNode | None) -> None:
        """Show this node from now on, or none."""
        self._node = node
        self._observation.of(node, (vtk.vtkCommand.ModifiedEvent,))
        self._fill()

    def _fill(self) -> None:
        self._items.blockSignals(True)
        self._items.clear()
        self._items.blockSignals(False)
        if self._node is None:
            return
        names = range(self._node.GetNumberOfColumns())
        self._items.setHorizontalHeaderLabels([self._node.GetColumnName(i) for i in names])
        for row in range(self._node.GetNumberOfRows()):
            texts = [self._node.GetCellText(row, column) for column in names]
            self._items.appendRow([QtGui.QStandardItem(text) for text in texts])

    def _on_typed(self, item: QtGui.QStandardItem) -> None:
        if self._node is not None and not self._node.GetLocked():
            self._node.SetCellText(item.row(), item.column(), item.text())


@stands_for_cpp
class qMRMLSliderWidget(ctkSliderWidget):
    """A slider in units of the scene; here in none."""

    quantity = kept("quantity", str, "")
    unitAwareProperties = kept("unitAwareProperties", int, 0)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Belong to this scene."""
        self._scene = scene


@stands_for_cpp
class qMRMLRangeWidget(ctkRangeWidget):
    """A range in units of the scene; here in none."""

    quantity = kept("quantity", str, "")
    unitAwareProperties = kept("unitAwareProperties", int, 0)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Belong to this scene."""
        self._scene = scene


WIDGETS = (
    qMRMLWidget,
    qSlicerWidget,
    qMRMLNodeComboBox,
    qMRMLColorTableComboBox,
    qMRMLTableView,
    qMRMLSliderWidget,
    qMRMLRangeWidget,
)
"""What the application adds to the module `slicer`."""
