"""The list of findings as a table: it fits the panel, sorts by any column, and scrolls."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import qt

from ScreenerSlicerLib.panel.rarity_words import Unit, in_unit
from ScreenerSlicerLib.scene.row import Row
from ScreenerSlicerLib.translation import tr as _

NUMERIC = 5
"""So many columns, the first ones, hold numbers."""
PLACE = 5
"""The column that takes what room there is."""
NARROWEST = 24
"""Pixels of a column."""
UP, DOWN = " \N{BLACK UP-POINTING SMALL TRIANGLE}", " \N{BLACK DOWN-POINTING SMALL TRIANGLE}"
NOTED = "*"
"""Marks a verdict with a comment."""
FEWEST_ROWS, MOST_ROWS, ROW_PIXELS = 3, 8, 22
"""Rows that are seen without scrolling, and how high each is."""


@dataclass(frozen=True)
class Shown:
    """How findings are written.

    Arguments:
        unit: Of their rarity.
        slices: Slices of the scan.
        counted: The highest rarity that was counted on the reference scans.
    """

    unit: Unit = "rarity"
    slices: int = 0
    counted: float = math.inf


@final
class FindingsList:
    """Findings in the order of a column that the reader chooses.

    Arguments:
        table: A `QTableWidget`.
        on_choice: Called with the rank of the finding that was chosen.
    """

    def __init__(self, table: Any, on_choice: Callable[[int], None]) -> None:  # noqa: ANN401
        self._table = table
        self._on_choice = on_choice
        self._rows: list[Row] = []
        self._shown = Shown()
        self._column, self._backwards = 0, False
        self._prepare()
        table.connect("itemSelectionChanged()", self._choose)
        # A second click on the same row goes there again, from wherever the reader went.
        table.connect("cellClicked(int,int)", lambda row, column: self._choose())
        table.horizontalHeader().connect("sectionClicked(int)", self._sort)

    def fill(self, rows: Sequence[Row], shown: Shown) -> None:
        """List findings.

        Arguments:
            rows: Rarest first.
            shown: How they are written.
        """
        self._shown = shown
        self._rows = sorted(rows, key=self._key, reverse=self._backwards)
        table = self._table
        blocked = table.blockSignals(True)
        names = [_("No."), _unit_name(shown.unit), _("ml"), _("mm"), _("Slice")]
        names += [_("Place"), _("Verdict")]
        # Qt's own arrow would take its room in every column.
        names[self._column] += DOWN if self._backwards else UP
        table.setHorizontalHeaderLabels(names)
        table.setRowCount(len(self._rows))
        for place, row in enumerate(self._rows):
            for column, text in enumerate(_texts(row, shown)):
                table.setItem(place, column, _item(text, column, row.comment))
        high = min(max(len(self._rows), FEWEST_ROWS), MOST_ROWS) * ROW_PIXELS
        table.minimumHeight = table.horizontalHeader().sizeHint.height() + high + 4
        table.blockSignals(blocked)

    @property
    def ranks(self) -> list[int]:
        """The findings from top to bottom."""
        return [row.finding.rank for row in self._rows]

    def choose(self, rank: int | None) -> None:
        """Select the row of a finding, where it can be seen; none where there is none."""
        table = self._table
        blocked = table.blockSignals(True)
        if rank is None:
            table.clearSelection()
        else:
            row = self.ranks.index(rank)
            table.selectRow(row)
            table.scrollToItem(table.item(row, 0))
        table.blockSignals(blocked)

    def _prepare(self) -> None:
        table = self._table
        table.setColumnCount(NUMERIC + 2)
        table.verticalHeader().visible = False
        table.verticalHeader().defaultSectionSize = ROW_PIXELS
        header = table.horizontalHeader()
        for column in range(NUMERIC + 2):
            stretched = column == PLACE
            mode = qt.QHeaderView.Stretch if stretched else qt.QHeaderView.ResizeToContents
            header.setSectionResizeMode(column, mode)
        header.minimumSectionSize = NARROWEST

    def _choose(self) -> None:
        row = self._table.currentRow()
        if 0 <= row < len(self._rows):
            self._on_choice(self._rows[row].finding.rank)

    def _sort(self, column: int) -> None:
        """Sort by a column; the same once more sorts the other way round."""
        self._backwards = column == self._column and not self._backwards
        self._column = column
        row = self._table.currentRow()
        rank = self._rows[row].finding.rank if 0 <= row < len(self._rows) else None
        self.fill(self._rows, self._shown)
        self.choose(rank)

    def _key(self, row: Row) -> tuple[Any, int]:
        found, place = row.finding, row.place
        heights = ("lower", "middle", "upper")
        value = (
            found.rank,
            # The largest first: nobody looks for the least rare.
            -found.peak_rarity,
            -found.volume_ml,
            -found.diameter_mm,
            found.peak_index[0],
            (heights.index(place.level), place.side) if place else (-1, ""),
            row.verdict,
        )[self._column]
        # Equal ones stay in the order of their ranks, also backwards.
        return value, -found.rank if self._backwards else found.rank


def _unit_name(unit: Unit) -> str:
    return {"rarity": _("Rarity"), "count": _("1 in"), "share": _("Share")}[unit]


def _texts(row: Row, shown: Shown) -> list[str]:
    """One line of the list."""
    found, place = row.finding, row.place
    verdict = verdict_words()[row.verdict]
    # Short, so that the place beside it is not cut; the note itself is the tip.
    noted = f"{verdict} {NOTED}".strip() if row.comment else verdict
    return [
        str(found.rank),
        in_unit(found.peak_rarity, shown.unit, shown.counted),
        f"{found.volume_ml:.1f}",
        f"{found.diameter_mm:.0f}",
        str(found.peak_index[0] + 1),
        f"{place_words()[place.side]}, {place_words()[place.level]}" if place else "",
        noted,
    ]


def _item(text: str, column: int, comment: str) -> qt.QTableWidgetItem:
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
    if column < NUMERIC:
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    item.setToolTip(comment or text)
    return item


def place_words() -> dict[str, str]:
    """Return what sides and thirds are called."""
    return {
        "right": _("right"),
        "left": _("left"),
        "midline": _("midline"),
        "upper": _("upper third"),
        "middle": _("middle third"),
        "lower": _("lower third"),
    }


def verdict_words() -> dict[str, str]:
    """Return what verdicts are called."""
    return {
        "": "",
        "accepted": _("accepted"),
        "rejected": _("rejected"),
        "unsure": _("unsure"),
    }


def described(row: Row, shown: Shown) -> str:
    """Write in full where a finding is, and what was measured.

    Arguments:
        row: Which.
        shown: How it is written.
    """
    found, place = row.finding, row.place
    uncounted = found.peak_rarity > shown.counted
    where = _("slice {number} of {count}").format(
        number=found.peak_index[0] + 1, count=shown.slices
    )
    if place is not None:
        third = _("{side}, {third} of the scan, {slice}")
        words = place_words()
        where = third.format(side=words[place.side], third=words[place.level], slice=where)
    what = _(
        "{number}: {where}. As rare as {share} of the reference voxels; {hu:.0f} HU on average."
    )
    beyond = _(
        "{number}: {where}. Rarer than {share} of the reference voxels, the rarest that were "
        "counted; {hu:.0f} HU on average."
    )
    known = min(found.peak_rarity, math.floor(10 * shown.counted) / 10 if uncounted else math.inf)
    return (beyond if uncounted else what).format(
        number=found.rank,
        where=where,
        share=in_unit(known, "share"),
        hu=found.mean_hu,
    )
