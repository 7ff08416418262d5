"""The logics of Slicer that the work on nodes needs, handed in so that any host can bring them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        sequences: Browses through frames: `slicer.modules.sequences.logic()`.
    """

    application: slicer.vtkMRMLApplicationLogic
    colors: slicer.vtkSlicerColorLogic
    segmentations: slicer.vtkSlicerSegmentationsModuleLogic
    terminologies: slicer.vtkSlicerTerminologiesModuleLogic | None = None
    volumerendering: slicer.vtkSlicerVolumeRenderingLogic | None = None
    sequences: slicer.vtkSlicerSequencesLogic | None = None


def logics_of(application: Any) -> Logics:  # noqa: ANN401 (Slicer's own)
    """Return Slicer's own logics.

    Arguments:
        application: The module `slicer`, in a Slicer that has started.
    """
    modules = application.modules
    rendering = getattr(modules, "volumerendering", None)
    sequences = getattr(modules, "sequences", None)
    return Logics(
        application.app.applicationLogic(),
        modules.colors.logic(),
        modules.segmentations.logic(),
        modules.terminologies.logic(),
        rendering.logic() if rendering else None,
        sequences.logic() if sequences else None,
    )
