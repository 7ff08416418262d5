"""The list of findings: rarest first, a click goes there, and a reader says what each one is."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import final

import qt

from ctscreener.rarity_text import counted_up_to, rarity_text
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.findings_table import Row
from ScreenerSlicerLib.scene.reviews import Verdict
from ScreenerSlicerLib.translation import tr as _

NUMERIC = 4
"""So many columns, the first ones, hold numbers."""


@final
class FindingsPanel:
    """Lists the findings of a result, and keeps what is said of them in the scene.

    Arguments:
        ui: The widgets by their names.
        on_review: Called when something was said of a finding.
    """

    def __init__(self, ui: SimpleNamespace, on_review: Callable[[], None]) -> None:
        self._ui = ui
        self._on_review = on_review
        self._result: ScreenResult | None = None
        self._buttons: dict[Verdict, qt.QPushButton] = {
            "accepted": ui.acceptButton,
            "rejected": ui.rejectButton,
            "unsure": ui.unsureButton,
        }
        self._prepare_table()
        ui.findingsTable.connect("itemSelectionChanged()", self._go_to_selected)
        # A second click on the same row goes there again, from wherever the reader went.
        ui.findingsTable.connect("cellClicked(int,int)", self._on_cell)
        ui.nextButton.connect("clicked()", self._next)
        ui.previousButton.connect("clicked()", self._previous)
        ui.acceptButton.connect("clicked()", lambda: self._judge("accepted"))
        ui.rejectButton.connect("clicked()", lambda: self._judge("rejected"))
        ui.unsureButton.connect("clicked()", lambda: self._judge("unsure"))
        ui.commentEdit.connect("editingFinished()", self._comment)
        self.take(None)

    def take(self, result: ScreenResult | None) -> None:
        """List another result from now on, or none."""
        self._result = result
        self.fill()

    def fill(self) -> None:
        """List the findings as they are now."""
        rows = self._result.rows if self._result else []
        counted = counted_up_to(self._result.provenance if self._result else {})
        table = self._ui.findingsTable
        blocked = table.blockSignals(True)
        table.setRowCount(len(rows))
        for place, row in enumerate(rows):
            for column, text in enumerate(_texts(row, counted)):
                table.setItem(place, column, _item(text, column))
        for column in range(table.columnCount - 1):
            table.resizeColumnToContents(column)
        table.blockSignals(blocked)
        self._ui.findingsLabel.text = _summary(self._result, rows)
        self._show_current()

    def _prepare_table(self) -> None:
        table = self._ui.findingsTable
        names = [_("No."), _("Rarity"), _("ml"), _("mm"), _("Place"), _("Verdict"), _("Comment")]
        table.setColumnCount(len(names))
        table.setHorizontalHeaderLabels(names)
        table.verticalHeader().visible = False
        table.horizontalHeader().stretchLastSection = True

    def _on_cell(self, row: int, column: int) -> None:
        self._go_to_selected()

    def _go_to_selected(self) -> None:
        row = self._ui.findingsTable.currentRow()
        if self._result is not None and row >= 0:
            self._result.navigation.go_to(row + 1)
            self._show_current()

    def _next(self) -> None:
        if self._result is not None:
            self._result.navigation.next()
            self._show_current()

    def _previous(self) -> None:
        if self._result is not None:
            self._result.navigation.previous()
            self._show_current()

    @property
    def _row(self) -> Row | None:
        """The finding that was gone to."""
        rank = self._result.navigation.current if self._result else None
        return self._result.rows[rank - 1] if self._result and rank else None

    def _show_current(self) -> None:
        """Show which finding it is, and what was said of it."""
        row = self._row
        table = self._ui.findingsTable
        blocked = table.blockSignals(True)
        if row is None:
            table.clearSelection()
        else:
            table.selectRow(row.finding.rank - 1)
        table.blockSignals(blocked)
        some = self._result is not None and table.rowCount > 0
        self._ui.nextButton.enabled = self._ui.previousButton.enabled = some
        for verdict, button in self._buttons.items():
            button.enabled = row is not None
            button.checked = row is not None and row.verdict == verdict
        self._ui.commentEdit.enabled = row is not None
        if not row or self._ui.commentEdit.text != row.comment:
            self._ui.commentEdit.text = row.comment if row else ""

    def _judge(self, verdict: Verdict) -> None:
        """Take a verdict; the same one once more takes it back."""
        row = self._row
        if row is not None:
            self._review(row, "" if row.verdict == verdict else verdict, row.comment)

    def _comment(self) -> None:
        row, comment = self._row, self._ui.commentEdit.text
        if row is not None and comment != row.comment:
            self._review(row, row.verdict, comment)

    def _review(self, row: Row, verdict: Verdict, comment: str) -> None:
        assert self._result is not None, "a row is one of a result"
        self._result.table.review(row.finding.rank, verdict, comment)
        self.fill()
        self._on_review()


def _texts(row: Row, counted: float) -> list[str]:
    """One line of the list."""
    found = row.finding
    place = row.place
    return [
        str(found.rank),
        rarity_text(found.peak_rarity, counted),
        f"{found.volume_ml:.1f}",
        f"{found.diameter_mm:.0f}",
        f"{_words()[place.side]}, {_words()[place.level]}" if place else "",
        _words()[row.verdict],
        row.comment,
    ]


def _item(text: str, column: int) -> qt.QTableWidgetItem:
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
    if column < NUMERIC:
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    item.setToolTip(text)
    return item


def _words() -> dict[str, str]:
    """What sides, thirds and verdicts are called."""
    return {
        "": "",
        "right": _("right"),
        "left": _("left"),
        "midline": _("midline"),
        "upper": _("upper third"),
        "middle": _("middle third"),
        "lower": _("lower third"),
        "accepted": _("accepted"),
        "rejected": _("rejected"),
        "unsure": _("unsure"),
    }


def _summary(result: ScreenResult | None, rows: list[Row]) -> str:
    """Write how many there are, and what that means."""
    if result is None:
        return _("Nothing was screened yet.")
    settings = result.table.settings
    if not rows:
        none = _(
            "Nothing is as rare as {threshold:.1f} in {volume:g} ml or more. "
            "Absence of colour is not absence of disease."
        )
        return none.format(threshold=settings.threshold, volume=settings.min_volume_ml)
    judged = sum(bool(row.verdict) for row in rows)
    if len(rows) == settings.most:
        most = _("The {count} rarest of more findings, {judged} judged.")
        return most.format(count=len(rows), judged=judged)
    return _("Findings: {count}, of which judged: {judged}.").format(
        count=len(rows), judged=judged
    )
