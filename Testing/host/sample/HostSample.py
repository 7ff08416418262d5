"""A scripted module as Slicer's template makes them: it finds what is brighter than a threshold."""

from typing import Annotated

import numpy
import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class HostSample(ScriptedLoadableModule):
    """What Slicer reads of the module."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host sample")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]
        self.started = False
        slicer.app.connect("startupCompleted()", self.on_started)

    def on_started(self) -> None:
        """All modules are there."""
        self.started = True


@parameterNodeWrapper
class HostSampleParameterNode:
    """What the user chose."""

    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(0, 1000)] = 200.0
    device: Annotated[str, Choice(["auto", "cpu"])] = "auto"
    overlay: bool = True


class HostSampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent: object = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.node = None
        self.tag = None

    def setup(self) -> None:
        """Fill the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/HostSample.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = HostSampleLogic()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.on_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self.on_end_close)
        self.ui.applyButton.connect("clicked(bool)", self.on_apply)
        self.timer = qt.QTimer()
        self.timer.interval = 10
        self.timer.connect("timeout()", self.on_timer)
        self.use_node()

    def cleanup(self) -> None:
        """Let go."""
        self.timer.stop()
        self.removeObservers()

    def enter(self) -> None:
        """Be shown."""
        self.use_node()

    def on_start_close(self, caller: object, event: object) -> None:
        """Forget the node that goes."""
        self.set_node(None)

    def on_end_close(self, caller: object, event: object) -> None:
        """Begin anew."""
        if self.parent.isEntered:
            self.use_node()

    def use_node(self) -> None:
        """Show what is in the parameter node."""
        if self.node is None:
            self.set_node(self.logic.getParameterNode())

    def set_node(self, node: object) -> None:
        """Show another node."""
        if self.node is not None:
            self.node.disconnectGui(self.tag)
            self.removeObserver(self.node, vtk.vtkCommand.ModifiedEvent, self.check)
        self.node = node
        if node is not None:
            self.tag = node.connectGui(self.ui)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.check)
            self.check()

    def check(self, caller: object = None, event: object = None) -> None:
        """Let the button be clicked when there is something to do."""
        self.ui.applyButton.enabled = self.node is not None and self.node.inputVolume is not None

    def on_apply(self) -> None:
        """Work a little later."""
        self.ui.statusLabel.text = _("Working")
        self.timer.start()

    def on_timer(self) -> None:
        """Show the result."""
        self.timer.stop()
        with slicer.util.tryWithErrorDisplay(_("Failed")):
            table = self.logic.process(self.node.inputVolume, self.node.threshold)
            self.ui.resultTable.setMRMLTableNode(table)
            self.ui.statusLabel.text = _("Done")


class HostSampleLogic(ScriptedLoadableModuleLogic):
    """The work."""

    def getParameterNode(self) -> HostSampleParameterNode:
        """The parameters."""
        return HostSampleParameterNode(super().getParameterNode())

    def process(self, volume: object, threshold: float) -> object:
        """Count the voxels above a threshold, into a table."""
        if volume is None:
            raise ValueError("There is no volume")
        count = int((slicer.util.arrayFromVolume(volume) > threshold).sum())
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Result")
        column = vtk.vtkIntArray()
        column.SetName("Voxels")
        column.InsertNextValue(count)
        table.AddColumn(column)
        return table


class HostSampleTest(ScriptedLoadableModuleTest):
    """The self test."""

    def setUp(self) -> None:
        """Begin with nothing."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run every test."""
        self.setUp()
        self.test_one_voxel()

    def test_one_voxel(self) -> None:
        """One voxel of three is bright enough."""
        volume = slicer.util.addVolumeFromArray(numpy.array([[[100, 200, 300]]], "int16"))
        table = HostSampleLogic().process(volume, 200.0)
        assert table.GetCellText(0, 0) == "1"
        self.delayDisplay("Passed")
