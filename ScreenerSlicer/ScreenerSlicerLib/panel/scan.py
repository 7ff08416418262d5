"""The choice of a scan: the sample, the views, the window, and a region around the whole of it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import final

import slicer

from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode
from ScreenerSlicerLib.scene.region_bounds import RegionBox, fit_region, is_new, region_box
from ScreenerSlicerLib.scene.sample_data import load_sample
from ScreenerSlicerLib.scene.scans import is_scan, show_scan
from ScreenerSlicerLib.scene.windows import (
    Window,
    is_automatic,
    note_window,
    set_window,
    window_of,
)

WINDOW_BUTTONS: dict[Window, str] = {
    "lung": "lungButton",
    "soft": "softTissueButton",
    "bone": "boneButton",
}


@final
class ScanPanel:
    """Loads the sample, shows the scan that is chosen, and lays new regions around it.

    Arguments:
        ui: The widgets by their names.
        say: Shows a message.
        try_sample: Called once the sample is chosen: one click is to show what Screener does.
    """

    def __init__(
        self, ui: SimpleNamespace, say: Callable[[str], None], try_sample: Callable[[], None]
    ) -> None:
        self._ui = ui
        self._say = say
        self._try_sample = try_sample
        self._parameters: ScreenerSlicerParameterNode | None = None
        self._shown: slicer.vtkMRMLScalarVolumeNode | None = None
        ui.sampleButton.connect("clicked()", self._load_sample)
        for window, name in WINDOW_BUTTONS.items():
            getattr(ui, name).connect("clicked()", self._chooser(window))

    def set_parameters(self, parameters: ScreenerSlicerParameterNode | None) -> None:
        """Work on other parameters from now on; on none while a scene is being closed."""
        self._parameters = parameters
        self._shown = None

    @property
    def box(self) -> RegionBox | None:
        """The box that is scored; None for the whole scan."""
        parameters = self._parameters
        if parameters is None or not (parameters.inputVolume and parameters.region):
            return None
        return region_box(parameters.region, parameters.inputVolume)

    def update(self, parameters: ScreenerSlicerParameterNode, is_ct: bool) -> None:
        """Show a scan that was chosen, and begin a region that has just been made.

        Arguments:
            parameters: What is chosen.
            is_ct: Whether the scan passes for a CT, so that windows of a CT suit it.
        """
        scan, region = parameters.inputVolume, parameters.region
        if scan is not self._shown:
            self._shown = scan
            self._show(scan, is_ct)
        if scan is not None and region is not None and is_new(region):
            fit_region(region, scan)
        now = window_of(scan)
        for window, name in WINDOW_BUTTONS.items():
            button = getattr(self._ui, name)
            button.enabled = scan is not None
            button.checked = window == now

    def _show(self, scan: slicer.vtkMRMLScalarVolumeNode | None, is_ct: bool) -> None:
        if scan is None or not is_scan(scan):
            return
        show_scan(slicer.app.applicationLogic(), scan)
        note_window(scan)
        # A window that was set by a user, or by the scan's own header, stays.
        if is_ct and is_automatic(scan):
            set_window(scan, "soft")

    def _chooser(self, window: Window) -> Callable[[], None]:
        """What a button does: a function, of which PythonQt knows the arguments."""

        def choose() -> None:
            parameters = self._parameters
            if parameters is not None and parameters.inputVolume is not None:
                set_window(parameters.inputVolume, window)

        return choose

    def _load_sample(self) -> None:
        try:
            node = load_sample()
        except RuntimeError as error:
            self._say(str(error))
            return
        if self._parameters is not None:
            self._parameters.region = None
            self._parameters.inputVolume = node
            self._try_sample()
