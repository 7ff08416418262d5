"""How the heat map is shown: what the sliders and boxes of the panel do to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, final

from ctscreener.rarity_text import counted_up_to
from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode
from ScreenerSlicerLib.panel.rarity_words import one_in
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.translation import tr as _

WIDGETS = (
    *("thresholdSlider", "opacitySlider", "colourRange", "hideButton"),
    *("legendBox", "outlineBox", "outlineSpin", "renderBox", "sideBySideBox"),
)


@dataclass(frozen=True)
class _Shown:
    """What is shown beside the map itself; the legend is None where that is not known."""

    legend: bool | None = None
    outline: float | None = None
    rendered: bool = False
    beside: bool = False


@final
class HeatMapPanel:
    """Shows a result as the parameters say.

    Arguments:
        ui: The widgets by their names.
    """

    def __init__(self, ui: SimpleNamespace) -> None:
        self._ui = ui
        self._result: ScreenResult | None = None
        self._shown = _Shown()
        self._counted = math.inf
        ui.hideButton.connect("pressed()", self._hide)
        ui.hideButton.connect("released()", self._show)

    def take(self, result: ScreenResult | None) -> None:
        """Show another result from now on, or none."""
        before = self._result
        if result is not None and before is not None and before.map_node.GetScene():
            before.outline.hide()
            before.heat_map.render(False)
        if result is None and before is not None:
            before.side_by_side.hide()
        self._result = result
        beside = result is not None and result.side_by_side.shown
        self._shown = _Shown(beside=beside)
        provenance = result.provenance if result else {}
        self._counted = counted_up_to(provenance)
        self._ui.mapLabel.text = how_made(provenance) if result else ""
        for name in WIDGETS:
            getattr(self._ui, name).enabled = result is not None

    def apply(self, parameters: ScreenerSlicerParameterNode) -> None:
        """Bring the map in line with the parameters: at once, without the model."""
        words = _("1 in {count} voxels of the reference scans")
        self._ui.thresholdLabel.text = words.format(
            count=one_in(parameters.threshold, self._counted)
        )
        if self._result is None:
            return
        heat_map = self._result.heat_map
        heat_map.set_threshold(parameters.threshold)
        heat_map.set_opacity(parameters.opacity)
        heat_map.set_range(parameters.colourRange.minimum, parameters.colourRange.maximum)
        self._show_more(self._result, self._wanted(parameters))

    def _wanted(self, parameters: ScreenerSlicerParameterNode) -> _Shown:
        line = parameters.outlineThreshold if parameters.showOutline else None
        beside = parameters.sideBySide
        return _Shown(parameters.showLegend, line, parameters.showIn3D, beside)

    def _show_more(self, result: ScreenResult, wanted: _Shown) -> None:
        """Show or hide what takes longer, where it is not so already."""
        before, self._shown = self._shown, wanted
        if wanted.legend != before.legend:
            result.heat_map.legend(bool(wanted.legend))
        if wanted.rendered != before.rendered:
            result.heat_map.render(wanted.rendered)
        if wanted.beside != before.beside:
            _put_side_by_side(result, wanted.beside)
        if wanted.outline == before.outline:
            return
        if wanted.outline is None:
            result.outline.hide()
        else:
            result.outline.show(wanted.outline)

    def _hide(self) -> None:
        if self._result is not None:
            self._result.heat_map.set_visible(False)

    def _show(self) -> None:
        if self._result is not None:
            self._result.heat_map.set_visible(True)


def _put_side_by_side(result: ScreenResult, wanted: bool) -> None:
    if wanted:
        result.side_by_side.show()
    else:
        result.side_by_side.hide()


def how_made(provenance: Mapping[str, Any]) -> str:
    """Write how a map was made, on one line, so that maps of one scan can be told apart.

    Arguments:
        provenance: As the engine gave it.
    """
    parameters = provenance.get("parameters", {})
    parts = [str(provenance.get("model", {}).get("name", ""))]
    overlap = parameters.get("overlap")
    if overlap == 0:
        parts.append(_("tiles do not overlap"))
    elif overlap is not None:
        parts.append(_("tiles overlap by {percent:.0f} %").format(percent=100 * overlap))
    parts.append(_("a region alone") if parameters.get("region") else _("the whole scan"))
    parts.append(str(provenance.get("device", "")))
    return ", ".join(filter(None, parts))
