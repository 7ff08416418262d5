"""What is kept with the scene: the module's parameters. What belongs to the machine is not here."""

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import (
    Default,
    FloatRange,
    RangeBounds,
    WithinRange,
    parameterNodeWrapper,
)

from ctscreener.findings import FindingSettings
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.translation import tr as _

LOWEST, HIGHEST, HIGHEST_COLOUR = 1.0, 6.0, 9.0
"""Thresholds that can be chosen, and the last rarity that colours can be spread to."""
LARGEST_ML = 100.0
LONGEST_LIST = 50
"""Findings that can be listed at most: more of them nobody walks through."""


class Quality(enum.Enum):
    """How far the tiles that are scored overlap."""

    STANDARD = "standard"
    FAST = "fast"

    @property
    def overlap(self) -> float:
        """Share of a tile that the next one covers again."""
        return 0.5 if self is Quality.STANDARD else 0.0

    def label(self) -> str:
        """Return what the user reads."""
        return _("Standard") if self is Quality.STANDARD else _("Fast, tiles do not overlap")


@parameterNodeWrapper
class ScreenerSlicerParameterNode:
    """The parameters, each bound to the widget of `ScreenerSlicer.ui` that names it."""

    inputVolume: vtkMRMLScalarVolumeNode
    region: vtkMRMLMarkupsROINode
    anomalyMap: vtkMRMLScalarVolumeNode
    quality: Quality = Quality.STANDARD
    keepEarlier: bool = False
    threshold: Annotated[float, WithinRange(LOWEST, HIGHEST)] = 3.0
    minVolume: Annotated[float, WithinRange(0.0, LARGEST_ML)] = 0.1
    allParts: bool = False
    mostFindings: Annotated[int, WithinRange(1, LONGEST_LIST)] = FindingSettings.most
    opacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.7
    colourRange: Annotated[
        FloatRange, RangeBounds(0.0, HIGHEST_COLOUR), Default(FloatRange(0.0, 6.0))
    ]
    showLegend: bool = True
    showOutline: bool = False
    outlineThreshold: Annotated[float, WithinRange(LOWEST, HIGHEST)] = 4.0
    showIn3D: bool = False
    sideBySide: bool = False
    suitWindow: bool = True

    if TYPE_CHECKING:
        # What the wrapper adds; only the type checker sees this.
        def __init__(self, node: object) -> None: ...
        def StartModify(self) -> int: ...  # noqa: D102
        def EndModify(self, before: int) -> None: ...  # noqa: D102
        def connectParametersToGui(self, widgets: Mapping[str, object]) -> int: ...  # noqa: D102
        def disconnectGui(self, tag: int) -> None: ...  # noqa: D102


def take_over(parameters: ScreenerSlicerParameterNode, result: ScreenResult) -> None:
    """Set the parameters as a result was left, such as one of a scene that was opened."""
    heat_map, settings = result.heat_map, result.table.settings
    low, high = (min(max(end, 0.0), HIGHEST_COLOUR) for end in heat_map.colour_range)
    before = parameters.StartModify()
    parameters.threshold = min(max(settings.threshold, LOWEST), HIGHEST)
    parameters.minVolume = min(settings.min_volume_ml, LARGEST_ML)
    parameters.allParts = result.table.beyond.all_parts
    parameters.mostFindings = min(settings.most, LONGEST_LIST)
    parameters.opacity = heat_map.opacity
    parameters.colourRange = FloatRange(low, high)
    parameters.showOutline = result.outline.node is not None
    parameters.showIn3D = heat_map.rendered
    parameters.sideBySide = result.side_by_side.shown
    parameters.EndModify(before)
