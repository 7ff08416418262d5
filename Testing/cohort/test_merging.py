"""Cohorts that are merged, and scans that are nearly the same."""

import csv
import os
import shutil
from pathlib import Path

import pytest

from ctscreener.cohort.place import Place
from ctscreener.cohort.table import rows
from ctscreener.command import main
from ctscreener.settings import write_json
from Testing.cohort.test_report import row

PRINTS = {"a": "ff00" * 40, "b": "00ff" * 40, "c": "ff00" * 39 + "ff01"}


def make(
    folder: Path, scans: dict[str, str], request: str = "x", failed: tuple[str, ...] = ()
) -> Place:
    """A cohort of scans with these hashes."""
    place = Place(folder)
    write_json(place.request("m"), {"model": request})
    for scan, digest in scans.items():
        mark = {"sha256": digest, "series": None, "fingerprint": PRINTS.get(scan, "")}
        write_json(place.scans("m") / scan / "row.json", {**row(scan, [], [0] * 5), **mark})
        (place.scans("m") / scan / "rarity.nrrd").write_text(digest)
    for scan in failed:
        known = {"id": scan, "run": "m", "status": "failed", "code": "x", "findings": []}
        write_json(place.failed("m") / f"{scan}.json", known)
    main(["cohort", "report", str(folder)])
    return place


def test_merged_cohorts_hold_what_both_have(tmp_path: Path) -> None:
    one = make(tmp_path / "one", {"a": "1", "b": "2"}, failed=("c", "d"))
    two = make(tmp_path / "two", {"b": "2", "c": "3"})
    out = Place(tmp_path / "out")
    words = ["cohort", "merge", str(one.folder), str(two.folder), "--out", str(out.folder)]
    assert main(words) == 0
    assert [(each["id"], each["status"]) for each in rows(out)] == [
        ("a", "done"), ("b", "done"), ("c", "done"), ("d", "failed")
    ]  # fmt: skip
    assert (out.scans("m") / "c" / "rarity.nrrd").read_text() == "3"
    first = (out.table).read_bytes()
    assert main(words) == 0
    assert out.table.read_bytes() == first
    if os.name == "posix":
        kept = one.scans("m") / "a" / "rarity.nrrd"
        assert (out.scans("m") / "a" / "rarity.nrrd").samefile(kept), "no room is taken twice"


@pytest.mark.parametrize(
    ("scans", "request_two", "code"),
    [({"a": "9"}, "x", "cohort.ids"), ({"c": "3"}, "y", "cohort.other_settings")],
)
def test_cohorts_that_contradict_each_other_are_refused_and_nothing_is_brought(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    scans: dict[str, str],
    request_two: str,
    code: str,
) -> None:
    make(tmp_path / "one", {"a": "1"})
    make(tmp_path / "two", scans, request_two)
    capsys.readouterr()
    folders = [str(tmp_path / name) for name in ("one", "two")]
    assert main(["cohort", "merge", *folders, "--out", str(tmp_path / "out")]) == 2
    assert code in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_row_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = make(tmp_path / "one", {"a": "1"})
    (place.scans("m") / "a" / "row.json").write_text("{")
    capsys.readouterr()
    assert main(["cohort", "report", str(place.folder)]) == 2
    assert "cohort.row" in capsys.readouterr().err


def test_near_duplicates_are_found_here_and_in_what_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = make(tmp_path / "one", {"a": "1", "b": "2", "c": "3"})
    other = make(tmp_path / "two", {"b": "8"})
    store, model = tmp_path / "store", tmp_path / "model"
    scans = [
        {"name": "s", "fingerprint": PRINTS["a"], "sha256": "7"},
        {"name": "t", "sha256": "2"},
    ]
    write_json(store / "manifest.json", {"scans": scans})
    stages = {"stages": {"density": {"data": [{"name": "u", "sha256": "3"}]}}}
    write_json(model / "model.json", {"provenance": stages})
    folders = [str(folder) for folder in (other.folder, store, model)]
    assert main(["cohort", "duplicates", str(place.folder), *folders]) == 0
    table = csv.reader((place.folder / "duplicates.csv").read_text().splitlines())
    assert list(table) == [
        ["where", "scan", "other"],
        ["here", "a", "c"],
        ["two", "b", "b"],
        ["store", "a", "s"],
        ["store", "b", "t"],
        ["store", "c", "s"],
        ["model", "c", "u"],
    ]
    shutil.rmtree(store)
    assert main(["cohort", "duplicates", str(place.folder), str(store)]) == 2
    assert "cohort.missing" in capsys.readouterr().err
