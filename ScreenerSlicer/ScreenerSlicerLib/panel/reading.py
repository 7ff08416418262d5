"""The result that is read: shown when it is chosen, and found anew when that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Protocol, final

from ctscreener.errors import InputError
from ScreenerSlicerLib.panel.export import ExportPanel
from ScreenerSlicerLib.panel.findings import FindingsPanel
from ScreenerSlicerLib.panel.heat_map import HeatMapPanel
from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode, take_over
from ScreenerSlicerLib.panel.sections import open_result
from ScreenerSlicerLib.panel.timer import timer
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.screening import Screening

FIND_AGAIN_MS = 250
"""After the last move of a slider; a list that changes at every step could not be read."""


class Logic(Protocol):
    """What this part of the panel asks of the module's logic."""

    screening: Screening


@final
class Reading:
    """Lets map, list and export work on the result that is chosen.

    Arguments:
        ui: The widgets by their names.
        logic: Returns the module's logic.
        say: Shows a message.
        panels: Those of the map, the list and the export.

    Attributes:
        result: The result that is shown; None where there is none.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        logic: Callable[[], Logic],
        say: Callable[[str], None],
        panels: tuple[HeatMapPanel, FindingsPanel, ExportPanel],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._say = say
        self._heat_map, self._findings, self._export = panels
        self._parameters: ScreenerSlicerParameterNode | None = None
        self.result: ScreenResult | None = None
        self._soon = timer(FIND_AGAIN_MS, self._find_again)
        self._soon.singleShot = True
        open_result(ui, False)

    def update(self, parameters: ScreenerSlicerParameterNode) -> None:
        """Show the result that is chosen, and find anew soon where others are asked for."""
        self._parameters = parameters
        self._take_up(parameters)
        self._heat_map.apply(parameters)
        if self._is_found_otherwise(parameters):
            self._soon.start()

    def stop(self) -> None:
        """Find nothing any more."""
        self._soon.stop()

    def close(self) -> None:
        """Let go of the result, whose scene is closed."""
        self.stop()
        self._parameters = None
        self._take(None)

    def _take_up(self, parameters: ScreenerSlicerParameterNode) -> None:
        """Show the result that is chosen."""
        screening, node = self._logic().screening, parameters.anomalyMap
        shown = self.result.map_node if self.result else None
        if node is None:
            self._take(None)
        elif screening.result is None or screening.result.map_node is not node:
            taken = screening.result if screening.take_up(node) else None
            self._take(taken)
            if taken is not None:
                taken.heat_map.show(taken.scan_node)
                take_over(parameters, taken)
        elif node is not shown:
            self._take(screening.result)

    def _take(self, result: ScreenResult | None) -> None:
        """Let every part work on a result, or on none."""
        if result is None and self.result is None:
            return
        self.result = result
        open_result(self._ui, result is not None)
        self._heat_map.take(result)
        self._findings.take(result)
        self._export.take(result)

    def _is_found_otherwise(self, parameters: ScreenerSlicerParameterNode) -> bool:
        """Whether the list is not the one that the parameters ask for."""
        if self.result is None:
            return False
        settings, every = self.result.table.settings, self.result.table.beyond.all_parts
        found = (settings.threshold, settings.min_volume_ml, every, settings.most)
        return found != _asked(parameters)

    def _find_again(self) -> None:
        parameters = self._parameters
        if parameters is None or self.result is None:
            return
        # Its finding may be gone afterwards.
        self._findings.keep_comment()
        try:
            self._logic().screening.set_threshold(*_asked(parameters))
        except InputError as error:
            self._say(str(error))
        self._findings.fill()
        self._export.update()


def _asked(parameters: ScreenerSlicerParameterNode) -> tuple[float, float, bool, int]:
    """What decides on the list, in the order of `Screening.set_threshold`."""
    return (
        parameters.threshold,
        parameters.minVolume,
        parameters.allParts,
        parameters.mostFindings,
    )
