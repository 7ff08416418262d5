"""The whole panel: what happens when its parts, the scene or a run have changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import final

import slicer

from ScreenerSlicerLib.panel.batch import BatchPanel
from ScreenerSlicerLib.panel.device import DevicePanel
from ScreenerSlicerLib.panel.export import ExportPanel
from ScreenerSlicerLib.panel.findings import FindingsPanel
from ScreenerSlicerLib.panel.heat_map import HeatMapPanel
from ScreenerSlicerLib.panel.installation import InstallationPanel, Logic
from ScreenerSlicerLib.panel.model import ModelPanel
from ScreenerSlicerLib.panel.notice import NoticePanel
from ScreenerSlicerLib.panel.observed import Observed
from ScreenerSlicerLib.panel.pace import Pace
from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode
from ScreenerSlicerLib.panel.preflight import PreflightPanel
from ScreenerSlicerLib.panel.reading import Reading
from ScreenerSlicerLib.panel.remote import RemotePanel
from ScreenerSlicerLib.panel.run import RunPanel
from ScreenerSlicerLib.panel.scan import ScanPanel
from ScreenerSlicerLib.panel.scan_and_map import ScanAndMap
from ScreenerSlicerLib.panel.sections import begin_reading
from ScreenerSlicerLib.panel.settings import Settings
from ScreenerSlicerLib.panel.timer import timer
from ScreenerSlicerLib.preflight.conditions import Conditions
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.frames import Frames, frames_of
from ScreenerSlicerLib.scene.slicer_logics import logics_of
from ScreenerSlicerLib.screening import Screening, Update
from ScreenerSlicerLib.translation import tr as _

TICK_MS = 100


@final
class ScreenerPanel:
    """Lets the parts of the panel work together.

    Arguments:
        ui: The widgets by their names.
        logic: Returns the module's logic.
    """

    def __init__(self, ui: SimpleNamespace, logic: Callable[[], Logic]) -> None:
        self._ui = ui
        self._logic = logic
        self._parameters: ScreenerSlicerParameterNode | None = None
        self._running = False
        self._pair = ScanAndMap(lambda: logic().screening.results())
        self._observed = Observed(self.update)
        self.settings = Settings()
        self._notice = NoticePanel(ui, self.settings)
        self._model = ModelPanel(ui, self.settings, self.update)
        self._device = DevicePanel(ui, self.settings, self.update)
        self._remote = RemotePanel(ui, self.settings, self.update)
        self._preflight = PreflightPanel(ui)
        self._run = RunPanel(ui)
        self._pace = Pace(
            self.settings,
            self._run,
            lambda: self._model.model,
            lambda: self._remote.device or self._device.device,
            lambda: logic().jobs.measured_seconds_a_tile,
        )
        self._scan = ScanPanel(ui, self._run.say, self._try_sample)
        self._heat_map = HeatMapPanel(ui, self.settings, lambda: self._findings.fill())
        self._findings = FindingsPanel(
            ui, lambda: self._export.update(), lambda: self._heat_map.unit
        )
        self._installation = InstallationPanel(
            ui, logic, lambda: self._device.hardware, lambda: self._model.model
        )
        self._timer = timer(TICK_MS, self._tick)
        self._export = ExportPanel(
            ui,
            self.settings,
            self._installation.complete_dicom,
            lambda work: logic().jobs.export(work),
            self._timer.start,
        )
        self._reading = Reading(
            ui, logic, self._run.say, (self._heat_map, self._findings, self._export)
        )
        self._batch = BatchPanel(ui, self.settings, self, lambda: logic().jobs.engine())
        ui.screenButton.connect("clicked()", self._press)
        # After the installation, which was connected first.
        ui.installPackagesButton.connect("clicked()", self._model.refresh)

    @property
    def is_probing(self) -> bool:
        """Whether what the machine offers is not known yet."""
        return self._device.probing

    @property
    def is_exporting(self) -> bool:
        """Whether a DICOM object is being made."""
        return self._export.busy

    def set_parameters(self, parameters: ScreenerSlicerParameterNode | None) -> None:
        """Work on other parameters from now on; on none while a scene is being closed."""
        self._findings.keep_comment()
        self._parameters = parameters
        self._pair.forget()
        self._scan.set_parameters(parameters)
        if parameters is not None:
            self._device.look_again()
            self._timer.start()
            self.update()

    def update(self) -> None:
        """Bring everything in line with parameters, scene and machine."""
        parameters = self._parameters
        if parameters is None or slicer.mrmlScene.IsBatchProcessing():
            return
        self._pair.agree(parameters)
        self._observed.look_at(parameters.inputVolume, parameters.region)
        card = self._preflight.examine(parameters.inputVolume, self._conditions(parameters))
        self._scan.update(parameters, not card.refusal)
        self._ui.sampleButton.enabled = not self._running
        if not self._running:
            batch = _("A batch is on.") if self._batch.busy else ""
            self._run.show_idle(card.refusal or self._remote.refusal or batch)
        self._reading.update(parameters)
        self._export.update()
        self._batch.update()

    def keep(self) -> None:
        """Keep in the scene what is typed and not yet taken."""
        self._findings.keep_comment()

    def close_scene(self) -> None:
        """End a run whose scan goes with its scene."""
        if self._running:
            self._logic().screening.close()
        # What is said of a result goes with it.
        self._run.say(_("The scene was closed, and the run was ended.") if self._running else "")
        self._running = False
        self._observed.look_at()
        self._reading.close()
        self._batch.close_scene()
        self._run.show_idle(_("The scene is being closed."))

    def close(self) -> None:
        """End everything at once, for the end of the module or of the application."""
        self._timer.stop()
        self._reading.stop()
        self._observed.look_at()
        self._export.close()
        self._batch.close()
        self._logic().screening.close()

    def _conditions(self, parameters: ScreenerSlicerParameterNode) -> Conditions:
        scan, box = parameters.inputVolume, self._scan.box
        results = self._logic().screening.results() if scan else []
        elsewhere = self._remote.device
        return Conditions(
            self._model.model,
            elsewhere or self._device.device,
            # What another machine has is not known here.
            None if elsewhere else self._device.hardware,
            parameters.quality.overlap,
            box.bounds if box else None,
            self.settings.seconds_a_tile(),
            self.settings.times_as_long(),
            box.growth if box else 1.0,
            bool(scan and parameters.region) and box is None,
            tuple(one.map_node.GetName() for one in results if one.scan_node is scan),
            parameters.keepEarlier,
        )

    def _try_sample(self) -> None:
        """Screen the sample, if nothing stands in the way."""
        if not self._logic().screening.busy and self._ui.screenButton.enabled:
            self._press()

    def _press(self) -> None:
        """Screen, or cancel what is on."""
        screening = self._logic().screening
        if screening.busy:
            screening.cancel()
            self._run.show_busy(Update("cancelling"))
        elif self._notice.is_read():
            self._start_complete(screening)

    def _start_complete(self, screening: Screening) -> None:
        """Start once nothing is missing, or say why that is not so."""
        # Another machine has its own installation.
        if self._remote.device or self._installation.complete():
            self._device.foresee()
            self._start(screening)
        else:
            self._run.say(self._installation.message)

    def request(self) -> ScreenRequest | None:
        """Return how scans are screened now; None where no model or no scene is there.

        Of a region nothing is said: it belongs to one scan.
        """
        parameters, model = self._parameters, self._model.model
        if parameters is None or model is None:
            return None
        return ScreenRequest(
            model.folder,
            "auto" if self._remote.device else self._device.wanted,
            None if model.one_speed else parameters.quality.overlap,
            parameters.threshold,
            parameters.minVolume,
            parameters.allParts,
            parameters.mostFindings,
            remote=self._remote.machine(model),
            keep_earlier=parameters.keepEarlier,
        )

    def refusal(self) -> str:
        """Say why no batch can be begun now; nothing where one can."""
        if self._running:
            return _("A scan is being screened.")
        if self._remote.device:
            return _("Several scans are screened on this computer: name no other machine.")
        return "" if self.request() else _("Choose a model first.")

    def frames(self) -> Frames | None:
        """Return the frames of the scan that is chosen, if it is one of some."""
        scan = self._parameters.inputVolume if self._parameters else None
        return frames_of(logics_of(slicer), scan)

    def complete(self) -> bool:
        """Install what is missing, once the notice was read; false where that failed."""
        return self._notice.is_read() and self._installation.complete()

    def changed(self) -> None:
        """A batch has begun or ended."""
        self._timer.start()
        self.update()

    def read(self, result: ScreenResult) -> None:
        """Begin to read a result that is in the scene."""
        if self._parameters is None:
            return
        self._parameters.inputVolume = result.scan_node
        self._parameters.anomalyMap = result.map_node
        self.update()
        begin_reading(self._ui)
        self._findings.begin()

    def _start(self, screening: Screening) -> None:
        parameters, request = self._parameters, self.request()
        assert parameters is not None, "the button is disabled without parameters"
        assert request is not None, "the card refuses to go on without a model"
        request = replace(request, region=self._conditions(parameters).region)
        self._installation.error = None
        self._run.begin()
        screening.start(parameters.inputVolume, request)
        self._running = True
        self._pace.begin(self._preflight.seconds)
        self._ui.sampleButton.enabled = False
        self._run.show_busy(Update("running"))
        self._batch.update()
        self._timer.start()

    def _tick(self) -> None:
        """Look at probe, export and run, ten times a second."""
        self._export.tick()
        self._batch.tick()
        news = self._device.update()
        if self._running:
            self._follow(self._logic().screening)
        elif news:
            self.update()
        if not (self._running or self._export.busy or self._batch.works or self._device.probing):
            self._timer.stop()

    def _follow(self, screening: Screening) -> None:
        try:
            update = screening.poll()
        finally:
            self._running = screening.busy
        if self._running:
            self._run.show_busy(update)
            if self._pace.keep_seconds():
                self.update()
            return
        self._installation.error = update.error
        result = screening.result if update.state == "done" else None
        if result is not None and self._parameters is not None:
            self._parameters.anomalyMap = result.map_node
            self._pace.keep_length()
        self.update()
        self._run.show_end(update, result)
        if result is not None and self._reading.result is not None:
            begin_reading(self._ui)
            self._findings.begin()
