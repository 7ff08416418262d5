"""The findings: a click goes there, and a reader says what each one is."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import final

import qt

from ctscreener.findings import FindingSettings, Index
from ctscreener.rarity_text import counted_up_to
from ScreenerSlicerLib.panel.findings_list import FindingsList, Shown, described
from ScreenerSlicerLib.panel.rarity_words import Unit
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.reviews import Verdict
from ScreenerSlicerLib.scene.row import Row
from ScreenerSlicerLib.scene.volume import lie_alike
from ScreenerSlicerLib.scene.windows import suit_window
from ScreenerSlicerLib.translation import tr as _

PAUSE_MS = 400
"""After so long without a letter a comment is kept."""


@final
class FindingsPanel:
    """Lists the findings of a result, and keeps what is said of them in the scene.

    A comment is kept when the reader pauses, and before the field is used for anything else,
    however the reader goes on: keys of buttons do not take the focus from the field.

    Arguments:
        ui: The widgets by their names.
        on_review: Called when something was said of a finding.
        unit: Returns the unit of rarities.
    """

    def __init__(
        self, ui: SimpleNamespace, on_review: Callable[[], None], unit: Callable[[], Unit]
    ) -> None:
        self._ui = ui
        self._on_review = on_review
        self._unit = unit
        self._result: ScreenResult | None = None
        self._commented: Index | None = None
        """The peak of the finding that the comment's field is about."""
        self._buttons: dict[Verdict, qt.QPushButton] = {
            "accepted": ui.acceptButton,
            "rejected": ui.rejectButton,
            "unsure": ui.unsureButton,
        }
        self._list = FindingsList(ui.findingsTable, self._go_to)
        ui.suitWindowBox.connect("clicked()", self._suit_window)
        ui.nextButton.connect("clicked()", lambda: self._step(1))
        ui.previousButton.connect("clicked()", lambda: self._step(-1))
        ui.acceptButton.connect("clicked()", lambda: self._judge("accepted"))
        ui.rejectButton.connect("clicked()", lambda: self._judge("rejected"))
        ui.unsureButton.connect("clicked()", lambda: self._judge("unsure"))
        ui.commentEdit.connect("editingFinished()", self.keep_comment)
        # A scene may be saved, or Slicer end, while the field has the focus.
        self._pause = qt.QTimer()
        self._pause.singleShot = True
        self._pause.setInterval(PAUSE_MS)
        self._pause.connect("timeout()", self.keep_comment)
        ui.commentEdit.connect("textEdited(QString)", lambda text: self._pause.start())
        self.take(None)

    def take(self, result: ScreenResult | None) -> None:
        """List another result from now on, or none."""
        self.keep_comment()
        self._result = result
        self.fill()

    def fill(self) -> None:
        """List the findings as they are now."""
        rows = self._result.rows if self._result else []
        self._list.fill(rows, self._shown)
        self._ui.findingsLabel.text = _summary(self._result, rows)
        if self._result is not None:
            self._result.navigation.settle()
        self._show_current()

    def begin(self) -> None:
        """Go to the rarest finding, if there is one."""
        if self._list.ranks:
            self._go_to(1)

    def keep_comment(self) -> None:
        """Keep what was typed of the finding that it was typed for."""
        self._pause.stop()
        result, peak, comment = self._result, self._commented, self._ui.commentEdit.text
        if result is None or peak is None or result.map_node.GetScene() is None:
            return
        row = next((one for one in result.rows if one.finding.peak_index == peak), None)
        if row is not None and comment != row.comment:
            self._review(row, row.verdict, comment)

    @property
    def _shown(self) -> Shown:
        slices = self._result.rarity.shape[0] if self._result else 0
        counted = counted_up_to(self._result.provenance if self._result else {})
        return Shown(self._unit(), slices, counted)

    def _go_to(self, rank: int) -> None:
        self.keep_comment()
        if self._result is not None:
            self._result.navigation.go_to(rank)
            self._suit_window()
            self._show_current()

    def _suit_window(self) -> None:
        """Show the tissue around the finding that was gone to, where the reader wants that."""
        result, row = self._result, self._row
        if result is None or row is None or result.scan_node is None:
            return
        if self._ui.suitWindowBox.checked:
            suit_window(result.scan_node, result.rarity.hu, row.finding.peak_index)

    def _step(self, by: int) -> None:
        """Go to the next row of the list, round and round; to an end of it at first."""
        ranks = self._list.ranks
        current = self._result.navigation.current if self._result else None
        if current is None:
            self._go_to(ranks[0 if by > 0 else -1])
        else:
            self._go_to(ranks[(ranks.index(current) + by) % len(ranks)])

    @property
    def _row(self) -> Row | None:
        """The finding that was gone to."""
        rank = self._result.navigation.current if self._result else None
        return self._result.rows[rank - 1] if self._result and rank else None

    def _show_current(self) -> None:
        """Show which finding it is, and what was said of it."""
        row = self._row
        self._list.choose(row.finding.rank if row else None)
        self._ui.nextButton.enabled = self._ui.previousButton.enabled = bool(self._list.ranks)
        for verdict, button in self._buttons.items():
            button.enabled = row is not None
            button.checked = row is not None and row.verdict == verdict
        self._ui.findingLabel.text = self._told(row) if row else ""
        self._ui.findingLabel.visible = row is not None
        self._ui.commentEdit.enabled = row is not None
        # A field that is written to while a reader types would lose the reader's place.
        if not row or self._ui.commentEdit.text != row.comment:
            self._ui.commentEdit.text = row.comment if row else ""
        self._commented = row.finding.peak_index if row else None

    def _told(self, row: Row) -> str:
        """Write in full what a finding is, and whether it is still where its scan is."""
        text = described(row, self._shown)
        scan = self._result.scan_node if self._result else None
        if self._result is None or scan is None or lie_alike(self._result.map_node, scan):
            return text
        moved = _("The scan was moved since: the map is where it lay before. Screen it again.")
        return f"{text} {moved}"

    def _judge(self, verdict: Verdict) -> None:
        """Take a verdict; the same one once more takes it back."""
        self.keep_comment()
        row = self._row
        if row is not None:
            self._review(row, "" if row.verdict == verdict else verdict, row.comment)

    def _review(self, row: Row, verdict: Verdict, comment: str) -> None:
        assert self._result is not None, "a row is one of a result"
        self._result.table.review(row.finding.rank, verdict, comment)
        self.fill()
        self._on_review()


def _summary(result: ScreenResult | None, rows: list[Row]) -> str:
    """Write how many there are, what is left out, and what that means."""
    if result is None:
        return _("Nothing was screened yet.")
    settings, beyond = result.table.settings, result.table.beyond
    lines = [_how_many(settings, rows, beyond.total)]
    below = result.provenance.get("rarity_below")
    if below is not None and settings.threshold >= below:
        ceiling = _("No voxel reaches that: rarities of this model stay below {below:.2f}.")
        lines.append(ceiling.format(below=below))
    if beyond.elsewhere:
        words = part_words()
        parts = ", ".join(f"{words[part]} {n}" for part, n in sorted(beyond.elsewhere.items()))
        lines.append(_("Coloured, but not listed: {parts}.").format(parts=parts))
    return " ".join(lines)


def _how_many(settings: FindingSettings, rows: list[Row], total: int) -> str:
    """Write how many there are."""
    if not rows:
        none = _(
            "Nothing is as rare as {threshold:.1f} in {volume:g} ml or more. "
            "Absence of colour is not absence of disease."
        )
        return none.format(threshold=settings.threshold, volume=settings.min_volume_ml)
    judged = sum(bool(row.verdict) for row in rows)
    words = {"threshold": settings.threshold, "count": len(rows), "judged": judged}
    if total > len(rows):
        most = _("From rarity {threshold:.1f} on: the {count} rarest of {total}, {judged} judged.")
        return most.format(total=total, **words)
    all_of_them = _("From rarity {threshold:.1f} on: {count}, of which judged: {judged}.")
    return all_of_them.format(**words)


def part_words() -> dict[str, str]:
    """Return what the parts of the body are called."""
    return {
        "torso": _("torso"),
        "arms": _("arms"),
        "head": _("head and neck"),
        "legs": _("legs"),
    }
