"""Tables of findings: what a reader said is in them, and they are whole or not there."""

import csv
import io
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.findings import NOTICE, Finding, FindingSettings, find
from ctscreener.scan import Scan
from ScreenerSlicerLib.export.tables import to_csv, to_json, write_tables
from ScreenerSlicerLib.process.screen_job import finding_of
from ScreenerSlicerLib.scene.place import Place

SETTINGS = FindingSettings(2.5, 0.01)
PROVENANCE = {
    "model": {"name": "preview", "weights_sha256": "ab" * 32, "rarity_counted_up_to": 5.5},
    "parameters": {"findings": {"threshold": 3.0}},
    "device": "cpu",
}
COMMENT = 'Größe "alt", siehe\nVorbefund; =1+1'


@dataclass(frozen=True)
class Row:
    """A row as the findings table gives it."""

    finding: Finding
    place: Place | None
    verdict: str
    comment: str


@pytest.fixture
def rows() -> list[Row]:
    rarity = np.zeros((20, 20, 20), np.float32)
    rarity[2:5, 2:5, 2:5], rarity[10:12, 10:12, 10:12] = 4, 3
    found = find(rarity, Scan(rarity * 10, np.diag([3.0, 2, 2, 1])), SETTINGS)
    return [
        Row(found[0], Place("left", "upper"), "rejected", COMMENT),
        Row(found[1], None, "", "=HYPERLINK(1)"),
    ]


def test_the_csv_has_a_line_a_finding_with_all_that_made_it(
    rows: list[Row], tmp_path: Path
) -> None:
    file, _ = write_tables(tmp_path / "findings.txt", rows, SETTINGS, PROVENANCE)
    assert file.name == "findings.csv"
    with file.open(encoding="utf-8-sig", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert first["verdict"] == "rejected"
    assert first["comment"] == COMMENT
    assert (first["side"], first["level"]) == ("left", "upper")
    assert float(first["peak_rarity_log10"]) == rows[0].finding.peak_rarity
    assert first["rarity_counted_up_to_log10"] == "5.5"
    assert float(first["threshold_log10"]) == 2.5, "that of these findings, not of the run"
    assert first["model"] == "preview"
    assert first["weights_sha256"] == "ab" * 32
    assert {first["notice"], second["notice"]} == {NOTICE}
    assert second["comment"] == "'=HYPERLINK(1)", "a spreadsheet takes it for no formula"
    assert (second["side"], second["verdict"]) == ("", "")


@pytest.mark.parametrize("comment", ["\r=1", "\n+1", "  -1", "\t@a", "=1"])
def test_no_comment_is_taken_for_a_formula(rows: list[Row], comment: str) -> None:
    text = to_csv([replace(rows[0], comment=comment)], SETTINGS, PROVENANCE)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["comment"] == f"'{comment}"


def test_the_json_gives_back_findings_and_reviews(rows: list[Row], tmp_path: Path) -> None:
    _, file = write_tables(tmp_path / "findings", rows, SETTINGS, PROVENANCE)
    data = json.loads(file.read_text(encoding="utf-8"))
    assert data["notice"] == NOTICE
    assert data["provenance"] == PROVENANCE
    assert data["found_with"] == asdict(SETTINGS)
    first = data["findings"][0]
    assert first["comment"] == COMMENT
    assert first["place"] == {"side": "left", "level": "upper"}
    measured = {name: first[name] for name in asdict(rows[0].finding)}
    assert finding_of(measured) == rows[0].finding
    assert "NaN" not in to_json([], SETTINGS, {})


def test_both_tell_how_many_there_are_where_that_is_known(rows: list[Row]) -> None:
    for found, told in ((19, 19), (2, 2), (0, None)):
        text = to_csv(rows, SETTINGS, PROVENANCE, found)
        cells = [row["found"] for row in csv.DictReader(io.StringIO(text, newline=""))]
        assert cells == ["" if told is None else str(told)] * 2
        assert json.loads(to_json(rows, SETTINGS, PROVENANCE, found))["found"] == told
    assert json.loads(to_json([], SETTINGS, PROVENANCE))["found"] == 0


def test_no_finding_is_a_table_too() -> None:
    assert to_csv([], SETTINGS, {}).count("\n") == 1
    assert json.loads(to_json([], SETTINGS, {}))["findings"] == []


def test_an_older_table_stays_when_the_disk_is_full(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables(tmp_path / "findings", rows[:1], SETTINGS, PROVENANCE)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError) as refused:
        write_tables(tmp_path / "findings", rows, SETTINGS, PROVENANCE)
    assert refused.value.code == "output.disk_full"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_not_there_is_told(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unwritable|Expected to write"):
        write_tables(tmp_path / "no" / "findings", rows, SETTINGS, PROVENANCE)
