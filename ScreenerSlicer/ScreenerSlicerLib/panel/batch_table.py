"""The scans of a batch as a table: what became of each."""

from collections.abc import Sequence
from typing import Any, final

import qt

from ctscreener.rarity_text import rarity_text
from ScreenerSlicerLib.batch.queue import Entry
from ScreenerSlicerLib.translation import tr as _

FEWEST_ROWS, MOST_ROWS, ROW_PIXELS = 3, 8, 22
SCAN, STATE = 0, 1
"""The column that takes what room there is, and the one with the reason of a failure."""


@final
class BatchTable:
    """Shows scans in the order in which they are screened.

    Arguments:
        table: A `QTableWidget`.
    """

    def __init__(self, table: Any) -> None:  # noqa: ANN401 (Qt's own)
        self._table = table
        names = [_("Scan"), _("State"), _("Findings"), _("Rarest")]
        table.setColumnCount(len(names))
        table.setHorizontalHeaderLabels(names)
        table.verticalHeader().visible = False
        table.verticalHeader().defaultSectionSize = ROW_PIXELS
        header = table.horizontalHeader()
        for column in range(len(names)):
            mode = qt.QHeaderView.Stretch if column == SCAN else qt.QHeaderView.ResizeToContents
            header.setSectionResizeMode(column, mode)

    def fill(self, entries: Sequence[Entry]) -> None:
        """Show scans as they are now."""
        self._table.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            for column, text in enumerate(_texts(entry)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(_tip(entry, column))
                self._table.setItem(row, column, item)
        high = min(max(len(entries), FEWEST_ROWS), MOST_ROWS) * ROW_PIXELS
        self._table.minimumHeight = self._table.horizontalHeader().sizeHint.height() + high + 4


def _tip(entry: Entry, column: int) -> str:
    """The reason of a failure, how a result is opened, or the whole name."""
    if column == STATE and entry.error:
        return entry.error
    opens = _("{name}: a double-click opens its result.")
    return opens.format(name=entry.source.name) if entry.screened else entry.source.name


def _texts(entry: Entry) -> list[str]:
    state, screened = state_words()[entry.state], entry.screened
    if screened is None:
        return [entry.source.name, state, "", ""]
    top = screened.top_rarity
    return [
        entry.source.name,
        state,
        str(screened.findings),
        "" if top is None else rarity_text(top, screened.counted),
    ]


def state_words() -> dict[str, str]:
    """Return what the states of a scan are called."""
    return {
        "waiting": _("waiting"),
        "running": _("being screened"),
        "done": _("done"),
        "failed": _("failed"),
        "cancelled": _("cancelled"),
    }
