"""The choice of a scan: the sample, and a region that begins around the whole of it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import final

import slicer

from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode
from ScreenerSlicerLib.scene.region_bounds import RegionBox, fit_region, region_box
from ScreenerSlicerLib.scene.sample_data import load_sample


@final
class ScanPanel:
    """Loads the sample, and lays new regions around the scan that is chosen.

    Arguments:
        ui: The widgets by their names.
        say: Shows a message.
    """

    def __init__(self, ui: SimpleNamespace, say: Callable[[str], None]) -> None:
        self._say = say
        self._parameters: ScreenerSlicerParameterNode | None = None
        ui.sampleButton.connect("clicked()", self._load_sample)
        ui.regionSelector.connect("nodeAddedByUserAction(vtkMRMLNode*)", self._fit_region)

    def set_parameters(self, parameters: ScreenerSlicerParameterNode | None) -> None:
        """Work on other parameters from now on; on none while a scene is being closed."""
        self._parameters = parameters

    @property
    def box(self) -> RegionBox | None:
        """The box that is scored; None for the whole scan."""
        parameters = self._parameters
        if parameters is None or not (parameters.inputVolume and parameters.region):
            return None
        return region_box(parameters.region, parameters.inputVolume)

    def _load_sample(self) -> None:
        try:
            node = load_sample()
        except RuntimeError as error:
            self._say(str(error))
            return
        if self._parameters is not None:
            self._parameters.inputVolume = node

    def _fit_region(self, region_node: slicer.vtkMRMLMarkupsROINode) -> None:
        if self._parameters is not None and self._parameters.inputVolume is not None:
            fit_region(region_node, self._parameters.inputVolume)
