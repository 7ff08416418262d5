"""Screener for 3D Slicer: a heat map of what is rare in a CT scan, and a list of findings.

What Slicer loads: the module, its parameters, its panel, its Python interface and its self test.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.install.assistant import PACKAGES, TORCH, Assistant, Tools
from ScreenerSlicerLib.install.slicer_packages import slicer_tools
from ScreenerSlicerLib.panel.installation import resume
from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode
from ScreenerSlicerLib.panel.screener import ScreenerPanel
from ScreenerSlicerLib.panel.settings import Settings
from ScreenerSlicerLib.process.job_maker import STUB, JobMaker, slicer_python
from ScreenerSlicerLib.process.screen_job import ENGINE, ScreenRequest
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.sample_data import register_sample
from ScreenerSlicerLib.scene.scans import MARK, choose_scan
from ScreenerSlicerLib.scene.slicer_logics import logics_of
from ScreenerSlicerLib.scene.terminology import load_terminology
from ScreenerSlicerLib.screening import Screening
from ScreenerSlicerLib.screening_error import ScreeningError

POLL_SECONDS = 0.02
VOLUME = "vtkMRMLScalarVolumeNode"


class ScreenerSlicer(ScriptedLoadableModule):
    """What Slicer knows of the module before anyone opens it."""

    def __init__(self, parent: Any) -> None:  # noqa: ANN401 (Slicer's own)
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Screener (CT anomaly map)")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The Screener developers"]
        parent.helpText = _(
            "Shows what is rare in a CT of the chest or abdomen as a heat map with ranked "
            "findings. No disease was ever taught to it: rare is not ill, and a common disease is "
            "not rare. Research use only, not for diagnosis. The scan stays on this computer, "
            "unless you name another machine to screen on."
        )
        parent.acknowledgementText = _(
            "The method is that of Goncharov et al., Screener, arXiv 2502.08321: please cite it. "
            "Scans are read by SimpleITK, networks run by PyTorch, DICOM written by highdicom."
        )
        slicer.app.connect("startupCompleted()", self._on_startup)

    def _on_startup(self) -> None:
        """Do what needs the other modules; nothing is installed or fetched unasked."""
        register_sample()
        load_terminology(slicer.modules.terminologies.logic())
        resume(ScreenerSlicerLogic().assistant())


class ScreenerSlicerWidget(ScriptedLoadableModuleWidget, slicer.util.VTKObservationMixin):
    """The module's panel: its life in Slicer. What it does stands in `ScreenerPanel`."""

    def __init__(self, parent: Any = None) -> None:  # noqa: ANN401 (Slicer's own)
        ScriptedLoadableModuleWidget.__init__(self, parent)
        slicer.util.VTKObservationMixin.__init__(self)
        self._is_set_up = False

    def setup(self) -> None:
        """Make the widgets; Slicer calls this once."""
        ScriptedLoadableModuleWidget.setup(self)
        self.parameters: ScreenerSlicerParameterNode | None = None
        self._gui_tag: int | None = None
        widget = slicer.util.loadUI(self.resourcePath("UI/ScreenerSlicer.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.ui.mapSelector.addAttribute(VOLUME, MARK, "1")
        self.logic = ScreenerSlicerLogic()
        self.panel = ScreenerPanel(self.ui, lambda: self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReplaced)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReplaced)
        # An import may be part of a batch, during which the panel looks at nothing.
        self.addObserver(scene, scene.EndBatchProcessEvent, self.onChange)
        slicer.app.connect("aboutToQuit()", self.panel.close)
        self._is_set_up = True
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Let go of everything; a run ends with all its processes."""
        if self._is_set_up:
            slicer.app.disconnect("aboutToQuit()", self.panel.close)
            self.setParameterNode(None)
            self.panel.close()
        self.removeObservers()

    def enter(self) -> None:
        """The user opens the module."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """The user opens another module; a run goes on."""
        self.panel.keep()
        self._disconnect()

    def onSceneStartClose(self, caller: object, event: str) -> None:
        """All nodes are about to go."""
        self.panel.close_scene()
        self.setParameterNode(None)

    def onSceneReplaced(self, caller: object, event: str) -> None:
        """There is an empty scene, or one that was opened, perhaps with a result in it."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Take the scene's parameters, and choose a scan where there is one."""
        self.setParameterNode(self.logic.getParameterNode())
        assert self.parameters is not None, "the logic has parameters"
        if not self.parameters.inputVolume:
            self.parameters.inputVolume = choose_scan(
                slicer.mrmlScene, slicer.app.applicationLogic()
            )

    def setParameterNode(self, parameters: ScreenerSlicerParameterNode | None) -> None:
        """Show other parameters, or none."""
        self._disconnect()
        self.parameters = parameters
        if parameters is not None:
            bound = ((one.property("SlicerParameterName"), one) for one in vars(self.ui).values())
            named = {name: one for name, one in bound if name}
            # Not connectGui, which returns no tag to disconnect by.
            self._gui_tag = parameters.connectParametersToGui(named)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self.onChange)
        self.panel.set_parameters(parameters)

    def onChange(self, caller: object, event: str) -> None:
        """A parameter has changed, or many nodes at once."""
        self.panel.update()

    def _disconnect(self) -> None:
        if self.parameters is not None and self._gui_tag is not None:
            self.parameters.disconnectGui(self._gui_tag)
            self.removeObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.onChange)
            self._gui_tag = None


class ScreenerSlicerLogic(ScriptedLoadableModuleLogic):
    """Screener for Python scripts in Slicer; the panel uses it too.

    Example::

        from ScreenerSlicer import ScreenerSlicerLogic, ScreenRequest

        logic = ScreenerSlicerLogic()
        result = logic.screen(slicer.util.getNode("CT"))
        for row in result.rows:
            print(row.finding.rank, row.finding.peak_rarity, row.finding.volume_ml, row.place)
        result.navigation.go_to(1)
        result.make_segments([1, 2])

    `screen(node, wait=False)` returns at once. Then call `logic.screening.poll()` from a timer
    until `logic.screening.busy` is false, and take `logic.screening.result`. Keep the logic: a run
    ends with it.

    Arguments:
        worker: The module that is run: the engine, or the stub of the self test.
        tools: What the install assistant may do; that of Slicer when None.

    Attributes:
        screening: The run that is on, and the result that is worked with.
        jobs: What has made its jobs.
        worker: As above.
    """

    def __init__(self, worker: str = ENGINE, tools: Tools | None = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        folder = Path(slicer.app.temporaryPath)
        self.jobs = JobMaker(folder, slicer.util.startupEnvironment(), worker)
        self.screening = Screening(slicer.mrmlScene, logics_of(slicer), slicer_python(), self.jobs)
        self._tools = tools or slicer_tools(slicer, Settings())
        self.worker = worker

    def getParameterNode(self) -> ScreenerSlicerParameterNode:
        """Return the parameters of the scene."""
        return ScreenerSlicerParameterNode(super().getParameterNode())

    def assistant(self, packages: tuple[str, ...] | None = None) -> Assistant:
        """Return the install assistant.

        Arguments:
            packages: Of which packages; of all that screening needs when None.
        """
        if packages is not None:
            return Assistant(self._tools, packages, torch="")
        if self.worker == ENGINE:
            return Assistant(self._tools, PACKAGES, TORCH)
        return Assistant(self._tools, (), torch="")

    def screen(
        self,
        volume_node: vtkMRMLScalarVolumeNode,
        request: ScreenRequest | None = None,
        wait: bool = True,
    ) -> ScreenResult | None:
        """Screen a CT.

        Arguments:
            volume_node: The CT.
            request: Model, device, overlap, threshold, smallest finding, region; the bundled
                model on the best device when None.
            wait: Return when it is done; Slicer's window stands still meanwhile.

        Returns:
            The result, shown in the slice views; None where it was not waited for.

        Raises:
            InputError: The volume has no voxels, or several values a voxel.
            ScreeningError: The run failed, or its scan was removed or changed; or another run of
                this logic is on.
        """
        if self.screening.busy:
            on = _("Another run is on.")
            raise ScreeningError("busy", on, _("Wait for its end, or cancel it."))
        self.screening.start(volume_node, request or ScreenRequest())
        if not wait:
            return None
        update = self.screening.poll()
        while self.screening.busy:
            time.sleep(POLL_SECONDS)
            update = self.screening.poll()
        if update.state != "done":
            raise ScreeningError.of(update)
        return self.screening.result


class ScreenerSlicerTest(ScriptedLoadableModuleTest):
    """The self test: a whole screening by the stub worker, for which PyTorch is not needed."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run every test."""
        for test in (self.test_a_scan_is_screened, self.test_what_is_no_ct_is_refused):
            self.setUp()
            test()
        self.delayDisplay("Screener's self test passed")

    def test_a_scan_is_screened(self) -> None:
        """Map, findings, review, segments: all from one call."""
        scan = slicer.util.addVolumeFromArray(_block(), name="Block")
        result = ScreenerSlicerLogic(STUB).screen(scan)
        assert result is not None
        assert [row.finding.rank for row in result.rows] == [1, 2]
        assert result.findings[0].peak_rarity > 4.9
        assert result.provenance["synthetic"]
        assert result.map_node.GetDescription() == NOTICE
        result.table.review(1, "unsure", "self test")
        result.make_segments([1, 2])
        segments = result.segmentation_node
        assert segments is not None
        assert segments.GetSegmentation().GetNumberOfSegments() == 2
        assert result.rows[0].comment == "self test"

    def test_what_is_no_ct_is_refused(self) -> None:
        """A picture of 0 to 255 is no CT."""
        picture = np.tile(np.arange(256, dtype=np.uint8), (24, 48, 1))
        node = slicer.util.addVolumeFromArray(picture, name="Picture")
        with self.assertRaises(ScreeningError):  # noqa: PT027 (no pytest in Slicer)
            ScreenerSlicerLogic(STUB).screen(node)
        assert slicer.mrmlScene.GetNumberOfNodesByClass(VOLUME) == 1


def _block() -> np.ndarray:
    """Water in air, 80 mm high, int16, `(D, H, W)`."""
    voxels = np.full((80, 96, 96), -1000, np.int16)
    voxels[8:71, 16:79, 16:79] = 40
    return voxels
