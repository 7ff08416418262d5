"""How the heat map is shown: what the sliders and boxes of the panel do to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, final

from ctscreener.rarity_text import counted_up_to
from ScreenerSlicerLib.panel.parameters import HIGHEST, LOWEST, ScreenerSlicerParameterNode
from ScreenerSlicerLib.panel.rarity_words import UNITS, Unit, in_unit, one_in, rarity_of
from ScreenerSlicerLib.panel.settings import UNIT, Settings
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.translation import tr as _

WIDGETS = (
    *("thresholdSlider", "thresholdEdit", "opacitySlider", "colourRange", "hideButton"),
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
        settings: Where the unit of rarities is kept.
        on_unit: Called when another unit was chosen.
    """

    def __init__(
        self, ui: SimpleNamespace, settings: Settings, on_unit: Callable[[], None]
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._on_unit = on_unit
        self._result: ScreenResult | None = None
        self._shown = _Shown()
        self._counted = math.inf
        self._parameters: ScreenerSlicerParameterNode | None = None
        for name in (_("Rarity"), _("1 in"), _("Share")):
            ui.unitBox.addItem(name)
        last = settings.get(UNIT, UNITS[0])
        ui.unitBox.setCurrentIndex(UNITS.index(last) if last in UNITS else 0)
        ui.unitBox.connect("currentIndexChanged(int)", self._choose_unit)
        ui.thresholdEdit.connect("editingFinished()", self._type)
        ui.hideButton.connect("toggled(bool)", self._hide)

    @property
    def unit(self) -> Unit:
        """The unit in which rarities are written."""
        return UNITS[max(0, self._ui.unitBox.currentIndex)]

    def take(self, result: ScreenResult | None) -> None:
        """Show another result from now on, or none."""
        before = self._result
        if before is not None and before.map_node.GetScene():
            before.outline.hide()
            before.heat_map.render(False)
            before.heat_map.legend(False)
            before.navigation.leave()
            before.heat_map.leave()
        if result is None and before is not None:
            before.side_by_side.hide()
        self._result = result
        blocked = self._ui.hideButton.blockSignals(True)
        self._ui.hideButton.checked = result is not None and not result.heat_map.visible
        self._ui.hideButton.blockSignals(blocked)
        self._say_outline("")
        beside = result is not None and result.side_by_side.shown
        self._shown = _Shown(beside=beside)
        provenance = result.provenance if result else {}
        self._counted = counted_up_to(provenance)
        self._ui.mapLabel.text = how_made(provenance) if result else ""
        for name in WIDGETS:
            getattr(self._ui, name).enabled = result is not None

    def apply(self, parameters: ScreenerSlicerParameterNode) -> None:
        """Bring the map in line with the parameters: at once, without the model."""
        self._parameters = parameters
        self._write_threshold(parameters.threshold)
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
        elif not result.outline.show(wanted.outline):
            nothing = _("Nothing in this scan is as rare as {rarity:.1f}: no line to draw.")
            self._say_outline(nothing.format(rarity=wanted.outline))
            return
        self._say_outline("")

    def _say_outline(self, message: str) -> None:
        self._ui.outlineLabel.text = message
        self._ui.outlineLabel.visible = bool(message)

    def _write_threshold(self, threshold: float) -> None:
        """Write the threshold in the unit, and what that is."""
        in_words = {
            "rarity": _("1 in {count} reference voxels").format(
                count=one_in(threshold, self._counted)
            ),
            "count": _("reference voxels"),
            "share": _("of the reference voxels"),
        }
        self._ui.thresholdLabel.text = in_words[self.unit]
        if not self._ui.thresholdEdit.hasFocus():
            self._ui.thresholdEdit.text = in_unit(threshold, self.unit)

    def _type(self) -> None:
        """Take a threshold that was typed; what is no number is put back."""
        parameters, field = self._parameters, self._ui.thresholdEdit
        if parameters is None:
            return
        rarity = rarity_of(field.text, self.unit)
        # What was written by us, to two digits, is not what was typed.
        if rarity is not None and field.text != in_unit(parameters.threshold, self.unit):
            parameters.threshold = min(max(rarity, LOWEST), HIGHEST)
        field.text = in_unit(parameters.threshold, self.unit)

    def _choose_unit(self, index: int) -> None:
        self._settings[UNIT] = UNITS[index]
        if self._parameters is not None:
            self._write_threshold(self._parameters.threshold)
        self._on_unit()

    def _hide(self, hidden: bool) -> None:
        if self._result is not None:
            self._result.heat_map.set_visible(not hidden)


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
