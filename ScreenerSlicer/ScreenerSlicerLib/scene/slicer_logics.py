"""The logics of Slicer that the work on nodes needs, handed in so that any host can bring them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer


@dataclass(frozen=True)
class Logics:
    """What is asked of the application.

    Arguments:
        application: `slicer.app.applicationLogic()`.
        colors: Reads the colour table and makes legends: `slicer.modules.colors.logic()`.
        segmentations: Marks segments: `slicer.modules.segmentations.logic()`.
        terminologies: Learns our terms: `slicer.modules.terminologies.logic()`.
        volumerendering: Draws the map in 3D: `slicer.modules.volumerendering.logic()`; without
            it there is no 3D picture.
    """

    application: slicer.vtkMRMLApplicationLogic
    colors: slicer.vtkSlicerColorLogic
    segmentations: slicer.vtkSlicerSegmentationsModuleLogic
    terminologies: slicer.vtkSlicerTerminologiesModuleLogic | None = None
    volumerendering: slicer.vtkSlicerVolumeRenderingLogic | None = None
