"""The card before a run, as the panel shows it."""

from __future__ import annotations

from html import escape
from types import SimpleNamespace
from typing import final

import slicer

from ctscreener.errors import InputError
from ScreenerSlicerLib.preflight.card import Card, examine
from ScreenerSlicerLib.preflight.conditions import Conditions
from ScreenerSlicerLib.scene.volume import Fingerprint, shared_scan_of
from ScreenerSlicerLib.translation import tr as _


@final
class PreflightPanel:
    """Shows what is known of a scan before it is screened, or why it cannot be.

    Arguments:
        ui: The widgets by their names.
    """

    def __init__(self, ui: SimpleNamespace) -> None:
        self._ui = ui
        self._asked: tuple[Fingerprint, Conditions] | None = None
        self._card = Card()

    def examine(
        self, volume_node: slicer.vtkMRMLScalarVolumeNode | None, conditions: Conditions
    ) -> Card:
        """Look at a volume, where it or the conditions are others than before.

        Arguments:
            volume_node: What is chosen.
            conditions: What a run would be made with.
        """
        asked = (Fingerprint.of(volume_node), conditions) if volume_node else None
        if asked is None or asked != self._asked:
            self._card = _card(volume_node, conditions)
            self._show(self._card)
            self._asked = asked
        return self._card

    @property
    def seconds(self) -> float | None:
        """How long a run will take, as the card says; None where that is not known."""
        return self._card.seconds

    def _show(self, card: Card) -> None:
        self._ui.cardLabel.text = _html(card)
        self._ui.cardLabel.visible = bool(card.lines)
        # Beside the button, and seen while the card is folded away.
        self._ui.refusalLabel.text = card.refusal
        self._ui.refusalLabel.visible = bool(card.refusal)


def _card(volume_node: slicer.vtkMRMLScalarVolumeNode | None, conditions: Conditions) -> Card:
    if volume_node is None:
        return Card((), _("Load a CT, or the sample, and choose it above."))
    try:
        return examine(shared_scan_of(volume_node), conditions)
    except InputError as error:
        return Card((), str(error))


def _html(card: Card) -> str:
    """Lay a card out; what may be wrong is bold, so that no colour has to be seen."""
    rows = "".join(
        f"<tr><td>{escape(line.label)}&nbsp;</td><td>{escape(line.value)}"
        + (f"<br><b>{escape(line.warning)}</b>" if line.warning else "")
        + "</td></tr>"
        for line in card.lines
    )
    return f"<table>{rows}</table>" if rows else ""
