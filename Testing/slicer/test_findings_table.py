"""The list keeps findings and reviews: through thresholds, through files, in any words."""

import json
from pathlib import Path

import numpy as np
import pytest
import slicer

from ctscreener.findings import NOTICE, FindingSettings, find
from ScreenerSlicerLib.scene.findings_table import CONTENT, FindingsTable
from ScreenerSlicerLib.scene.place import Place
from ScreenerSlicerLib.scene.reviews import brought_over
from ScreenerSlicerLib.scene.row import Row
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps

PLACE = Place("left", "upper")
NASTY = [
    "says \"spiculated\", 'maybe'",
    "tab\there, line\nbreak; a:b, c^d~e",
    "# 100 % <b>&amp;</b> \\ {}",
    "Rundherd, 12 mm \u2013 \u80ba\u7d50\u7bc0 \U0001fac1",
    " spaces ",
]


def filled(scene: slicer.vtkMRMLScene, threshold: float = 3.0) -> FindingsTable:
    """A table of what is found in the lumps."""
    table = FindingsTable.create(scene, "findings")
    fill(table, threshold)
    return table


def fill(table: FindingsTable, threshold: float, rarity: np.ndarray | None = None) -> list[Row]:
    """Find in a map and put that into a table."""
    rarity = lumps.rarity() if rarity is None else rarity
    settings = FindingSettings(threshold, lumps.SETTINGS.min_volume_ml)
    found = lumps.findings(rarity, settings)
    table.fill(found, [PLACE] * len(found), lumps.Scan(rarity, lumps.LYING), settings)
    return table.rows()


def column(node: slicer.vtkMRMLTableNode, name: str) -> list[str]:
    """The cells of a column."""
    index = node.GetColumnIndex(name)
    return [node.GetCellText(row, index) for row in range(node.GetNumberOfRows())]


def verdicts(rows: list[Row]) -> dict[float, str]:
    """The verdict by peak rarity."""
    return {round(row.finding.peak_rarity, 1): row.verdict for row in rows}


def test_rows_are_the_findings_and_columns_say_so(slicer_scene: SlicerScene) -> None:
    table = filled(slicer_scene.scene)
    assert [row.finding for row in table.rows()] == lumps.findings(lumps.rarity())
    assert {row.place for row in table.rows()} == {PLACE}
    assert column(table.node, "Finding") == ["1", "2", "3"]
    assert column(table.node, "Peak rarity") == ["7", "5.5", "4"]
    assert [float(cell) for cell in column(table.node, "Volume (ml)")] == pytest.approx(
        [row.finding.volume_ml for row in table.rows()], abs=0.006
    )
    assert column(table.node, "Side") == ["left"] * 3
    assert table.settings == lumps.SETTINGS
    assert table.node.GetLocked()
    assert table.node.GetDescription() == NOTICE


def test_an_empty_list_is_a_list(slicer_scene: SlicerScene) -> None:
    table = FindingsTable.create(slicer_scene.scene, "findings")
    assert table.rows() == []
    assert fill(table, 9.0) == []
    assert table.settings.threshold == 9.0


def test_a_review_is_seen_and_can_be_changed(slicer_scene: SlicerScene) -> None:
    table = filled(slicer_scene.scene)
    table.review(2, "rejected", "vessel")
    table.review(1, "unsure")
    table.review(2, "accepted", "not a vessel")
    assert [(row.verdict, row.comment) for row in table.rows()] == [
        ("unsure", ""),
        ("accepted", "not a vessel"),
        ("", ""),
    ]
    assert column(table.node, "Verdict") == ["unsure", "accepted", ""]
    assert column(table.node, "Comment") == ["", "not a vessel", ""]


@pytest.mark.parametrize(("rank", "verdict"), [(0, "accepted"), (4, "accepted"), (1, "malignant")])
def test_a_review_of_nothing_is_refused(
    slicer_scene: SlicerScene, rank: int, verdict: str
) -> None:
    table = filled(slicer_scene.scene)
    with pytest.raises(ValueError, match="rank from 1 to 3"):
        table.review(rank, verdict)  # pyright: ignore[reportArgumentType]


def test_any_comment_comes_back_from_a_file(slicer_scene: SlicerScene, tmp_path: Path) -> None:
    tables = []
    for comment in NASTY:
        tables.append(filled(slicer_scene.scene))
        tables[-1].review(1, "accepted", comment)
    rows = [table.rows() for table in tables]
    cells = [column(table.node, "Comment") for table in tables]
    names = [table.node.GetName() for table in tables]
    slicer_scene.save(tmp_path / "scene.mrb")
    slicer_scene.load(tmp_path / "scene.mrb")
    nodes = [slicer_scene.scene.GetFirstNodeByName(name) for name in names]
    assert [FindingsTable(slicer_scene.scene, node).rows() for node in nodes] == rows
    # Slicer's own table file holds them too, on one line each.
    assert [column(node, "Comment") for node in nodes] == cells
    assert [row[0].comment for row in rows] == NASTY


def test_a_review_outlives_a_threshold_above_it(slicer_scene: SlicerScene) -> None:
    table = filled(slicer_scene.scene)
    table.review(1, "accepted", "seen")
    table.review(3, "rejected", "rib")
    assert verdicts(fill(table, 4.2)) == {7.0: "accepted", 5.5: ""}
    assert verdicts(fill(table, 9.0)) == {}
    rows = fill(table, 3.0)
    assert verdicts(rows) == {7.0: "accepted", 5.5: "", 4.0: "rejected"}
    assert rows[2].comment == "rib"


def test_findings_that_grow_together_have_the_review_of_the_highest(
    slicer_scene: SlicerScene,
) -> None:
    rarity = np.zeros((9, 9, 30), np.float32)
    rarity[2:6, 2:6, 2:28] = 3.5
    for start, peak in [(2, 5.0), (12, 6.0), (22, 5.5)]:
        rarity[2:6, 2:6, start : start + 5] = peak
    table = FindingsTable.create(slicer_scene.scene, "findings")

    def refill(threshold: float) -> list[Row]:
        scan, settings = lumps.Scan(rarity, lumps.LYING), FindingSettings(threshold, 0.05)
        found = find(rarity, scan, settings)
        table.fill(found, [PLACE] * len(found), scan, settings)
        return table.rows()

    refill(4.0)
    table.review(2, "rejected", "second")
    table.review(3, "accepted", "third")
    assert [row.comment for row in refill(3.0)] == ["second"]
    # What is said of all together is said of the highest peak.
    table.review(1, "unsure", "all")
    assert [row.comment for row in refill(3.0)] == ["all"]
    assert [row.comment for row in refill(4.0)] == ["all", "second", "third"]


def take_reviews(table: FindingsTable, earlier: FindingsTable, rarity: np.ndarray) -> None:
    """Bring over what was said of an earlier map; the table's own word counts first."""
    rows, settings = table.rows(), table.settings
    found = [row.finding for row in rows]
    said = [one.reviews_on(lumps.LYING) for one in (table, earlier)]
    reviews = brought_over(said, found, rarity, settings.threshold)
    table.put(found, [row.place for row in rows], lumps.LYING, settings, reviews)


def test_reviews_move_to_peaks_near_by_on_another_map(slicer_scene: SlicerScene) -> None:
    earlier = filled(slicer_scene.scene)
    for rank, comment in [(1, "first"), (2, "second"), (3, "third")]:
        earlier.review(rank, "accepted", comment)
    rarity = lumps.rarity()
    rarity[5, 10, 30], rarity[6, 11, 31] = 4.5, 6.0
    rarity[10, 28, 20:27], rarity[11, 30, 20:26] = 1.0, 5.5
    rarity[12:16, 20:24, 8:14], rarity[12:16, 20:24, 22:28] = 1.0, 4.0
    table = FindingsTable.create(slicer_scene.scene, "findings")
    fill(table, 3.0, rarity)
    table.review(1, "unsure", "own")
    take_reviews(table, earlier, rarity)
    # The first has a word of its own, the second moved by 5 mm, the third by 28.
    assert [row.comment for row in table.rows()] == ["own", "second", ""]
    assert earlier.rows()[2].comment == "third"


def test_a_review_does_not_leave_its_region_for_one_near_by(slicer_scene: SlicerScene) -> None:
    earlier, later = np.zeros((2, 9, 9, 30), np.float32)
    earlier[4, 2, 2:8] = later[4, 2, 2:8] = 4.0
    earlier[4, 2, 7] = later[4, 2, 2] = 6.0
    later[4, 4, 4:12] = 3.5
    later[4, 4, 7] = 3.9
    tables = [FindingsTable.create(slicer_scene.scene, "findings") for _ in range(2)]
    for table, rarity, comment in zip(tables, (earlier, later), ("moved", "own"), strict=True):
        scan = lumps.Scan(rarity, lumps.LYING)
        found = find(rarity, scan, lumps.SETTINGS)
        table.fill(found, [PLACE] * len(found), scan, lumps.SETTINGS)
        table.review(1, "accepted", comment)
    take_reviews(tables[1], tables[0], later)
    assert [row.comment for row in tables[1].rows()] == ["own", ""]


def test_a_list_counts_voxels_as_its_map_does(slicer_scene: SlicerScene) -> None:
    table = filled(slicer_scene.scene)
    table.review(2, "accepted", "seen")
    before = table.rows()
    # The same voxels along other axes, two of them the other way.
    rarity = np.ascontiguousarray(lumps.rarity().transpose(2, 0, 1)[::-1, :, ::-1])
    turn = np.zeros((4, 4))
    turn[[2, 0, 1, 3], [0, 1, 2, 3]] = [-1, 1, -1, 1]
    turn[[2, 1], 3] = [lumps.SHAPE[2] - 1, lumps.SHAPE[1] - 1]
    turned = lumps.Scan(rarity, lumps.LYING @ turn)
    table.restore(turned)
    expected = find(rarity, turned, lumps.SETTINGS)
    for row, old, new in zip(table.rows(), before, expected, strict=True):
        place = turned.affine @ (*row.finding.peak_index, 1)
        assert place[:3] == pytest.approx(row.finding.peak_ras)
        assert row.finding.peak_ras == old.finding.peak_ras
        assert (row.finding.box_min, row.finding.box_max) == (new.box_min, new.box_max)
        assert (row.verdict, row.comment) == (old.verdict, old.comment)
    table.fill(expected, [PLACE] * 3, turned, lumps.SETTINGS)
    assert [row.comment for row in table.rows()] == ["", "seen", ""]


@pytest.mark.parametrize("said", [50, None])
def test_a_list_of_before_stays_as_long_as_it_was(
    slicer_scene: SlicerScene, said: int | None
) -> None:
    table = filled(slicer_scene.scene)
    content = json.loads(table.node.GetAttribute(CONTENT))
    assert content["settings"].pop("most") == 5
    if said:
        content["settings"]["most"] = said
    table.node.SetAttribute(CONTENT, json.dumps(content))
    assert table.settings.most == 50
    assert len(table.rows()) == 3
