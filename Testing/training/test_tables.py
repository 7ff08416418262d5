"""Tables and page: every number of ours, the papers' as printed, and nothing from elsewhere."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ctscreener.errors import InputError
from ctscreener.findings import NOTICE
from training.page.beside import column_of
from training.page.page import page
from training.page.plots import plot_set, svg
from training.page.printed import COLUMNS, METRICS, OTHERS, SCREENER, TABLE_2, TABLE_3, TABLE_4
from training.tables import (
    FORMAT,
    FORMAT_VERSION,
    TablesSettings,
    evaluation_table,
    main,
    rarity_table,
)

Made = Any
"""Results with those of their keys that a test is about."""


def estimate(value: float) -> dict:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def score(value: float) -> dict:
    """Numbers that can be told apart in a page."""
    areas = {
        name: {"pooled": estimate(value + k / 100), "mean": estimate(value), "rounding": 1e-4}
        for k, name in enumerate(METRICS)
    }
    return {
        **areas,
        "ap": {"pooled": estimate(0.111), "mean": estimate(0.555), "rounding": 1e-3},
        "dice": {"best": 0.222, "rounding": 0, "threshold": 3, "elsewhere": estimate(0.333)}
        | {"own": estimate(0.666)},
        "froc": {"sensitivity": estimate(0.444), "curve": [[0, 0], [1, 0.5]]},
        "roc": [[0, 0], [0.5, 0.9], [1, 1]],
        "pro": [[0, 0], [0.5, 0.8], [1, 1]],
        "histogram": {"edges": [0, 1, 2], "negatives": [0.9, 0.1], "positives": [0.2, 0.8]},
    }


FOUND = {"findings": estimate(8.7), "met": None, "listed": estimate(1.2), "listed_met": None}


@pytest.fixture
def results() -> Made:
    """One model on two sets of phantoms by one protocol."""
    scans = [
        {"name": f"scan<{k}>", "picture": f"pictures/{k}.png", "regions_lost": 0}
        | {area: {"Screener": 0.5 + k / 10, "gradient": 0.4} for area in METRICS}
        for k in range(3)
    ]
    parts = [
        {"set": family, "family": family, "protocol": "body-only", "scans": scans, "patients": 3}
        | {"regions": 5, "scores": {"Screener": score(value), "gradient": score(0.21)}}
        for family, value in (("kidney_tumour", 0.77), ("lung_nodule", 0.55))
    ]
    levels = [
        {"rarity": r, "promised": 10.0**-r, "share": estimate(0.0123 * r)}
        | (FOUND if r > 1 else {})
        for r in (1, 2, 3, 4)
    ]
    promise = {"set": "left_out", "scans": 5, "patients": 4, "lesions": 0, "levels": levels}
    promise |= {"seen": {"descriptor": 5, "density": 0, "calibration": 0}, "each": []}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "software": {"name": "ctscreener", "version": "0"},
        "model": {"name": "mine & yours", "weights_sha256": "0123456789abcdef"},
        "parameters": {"overlap": 0.5},
        "method": {"descriptor": "VICReg, d = 32", "condition": "none", "density": "flow"},
        "torch": "2",
        "measuring": {"grid": "own"},
        "baselines": {"draem": "0123"},
        "sets": parts,
        "rarities": [promise],
    }


@pytest.fixture
def folder(tmp_path: Path, results: Made) -> Path:
    (tmp_path / "pictures").mkdir()
    for k in range(2):
        Image.fromarray(np.full((20, 40, 3), 50 * k, np.uint8)).save(
            tmp_path / f"pictures/{k}.png"
        )
    # Another score's map of the first scan.
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(tmp_path / "pictures/0--gradient.png")
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_the_printed_numbers_are_the_papers() -> None:
    """Spot checks from the paper's text, and identities between its tables."""
    best = next(row for row in TABLE_2.rows if row.name == "Screener")
    assert best.numbers[:4] == (0.96, 0.87, 0.90, 0.93)
    assert best.numbers[8:] == (0.65, 0.40, 0.67, 0.63)
    assert best.numbers == TABLE_3.rows[-1].numbers
    assert TABLE_2.rows[4].numbers == TABLE_4.rows[0].numbers
    assert TABLE_3.rows[4] == TABLE_4.rows[3]
    assert len({row.method for row in TABLE_3.rows}) == 8
    assert TABLE_3.rows[0].numbers[9] == 0.62
    for other in OTHERS:
        assert all(len(numbers) == len(other.columns) for _, numbers in other.rows)
        assert len(other.ours) == len(other.columns)


def test_our_row_stands_under_the_printed_one_in_its_columns(results: Made, folder: Path) -> None:
    text = page([results], [folder], 1)
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    ours = [i for i, row in enumerate(rows) if "mine &amp; yours" in row and "body-only" in row]
    # Tables 3 and 4 have this cell; Table 2, which does not, shows it below its own rows.
    above = [rows[i - 1] for i in ours[:3]]
    assert "Screener" in above[0]
    assert "VICReg, d = 32; none; flow" in above[1]
    assert "VICReg, d = 32; none; flow" in above[2]
    cells = [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?</td>", rows[ours[1]])]
    assert cells[2:] == [
        ".55", "-", ".77", "-", ".56", "-", ".78", "-", ".57", "-", ".79", "-",
    ]  # fmt: skip
    for printed in SCREENER:
        for row in printed.rows:
            assert row.name in text
    assert [column_of(part) for part in results["sets"]] == ["KiTS", "LIDC"]
    assert set(COLUMNS) >= {column_of(part) for part in results["sets"]}


def test_lesions_put_into_real_scans_have_a_row_of_their_own(results: Made, folder: Path) -> None:
    inserted = results["sets"][1] | {"set": "put_in", "inserted": True}
    results["sets"].append(inserted)
    text = page([results], [folder], 1)
    rows = [re.sub("<.*?>", "|", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
    ours = [row for row in rows if "mine &amp; yours" in row]
    both = [next(row for row in ours if what in row) for what in ("on phantoms", "put in")]
    # The phantoms' row has both sets, the other one the nodules alone.
    assert [row.count(".7") for row in both] == [3, 0]
    assert [row.count(".5") for row in both] == [3, 3]
    assert "real scans with lesions put into them" in text


def test_the_page_needs_nothing_else_and_says_what_it_is_not(results: Made, folder: Path) -> None:
    text = page([results], [folder], 2)
    assert NOTICE in text
    assert "not patients" in text
    for other in OTHERS:
        assert other.differs.split(".")[0] in text
    assert not re.search(r"<script|<link|src=\"(?!data:)|href=|url\(", text)
    assert "scan&lt;1&gt;" in text
    assert "scan<1>" not in text
    # Two of the three scans have a picture; the third is named without one.
    assert text.count("data:image/jpeg") == 2 * 2
    assert text.count("its picture is not there") == 2
    assert text.count("data:image/svg+xml") == 2


def test_all_files_are_written_and_hold_every_number(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "page"
    main(TablesSettings((folder / "results.json",), out=out))
    table = (out / "table.md").read_text()
    assert capsys.readouterr().out.startswith(table)
    rows = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    # Two sets, two scores; three areas in two kinds, AP, two kinds of Dice, FROC.
    # Then the shares at four rarities, and the findings at three.
    assert len(rows) == 2 * 2 * (3 * 2 + 2 + 3 + 1) + 4 + 2 * 3
    assert [r["value"] for r in rows if r["kind"] == "findings"] == ["8.7"] * 3
    one = next(r for r in rows if r["metric"] == "aupro@0.3" and r["kind"] == "pooled")
    assert float(one["value"]) == pytest.approx(0.79)
    assert float(one["rounding"]) == 1e-4
    assert (out / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_rarities_stand_beside_their_promise_and_say_which_stages_saw_the_scans(
    results: Made, folder: Path
) -> None:
    del results["sets"][1:]
    text = rarity_table([results, results | {"rarities": []}])
    row = next(line for line in text.splitlines() if "left_out" in line and "| 3 " in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1:] == [
        "left_out",
        "5, 4",
        "3",
        ".1%",
        "3.7% (2.7-4.7)",
        "8.7 (8.7-8.7)",
        "-",
    ] + [
        "1.2 (1.2-1.2)",
        "-",
    ]
    assert "left_out (5 scans): descriptor 5; `mine & yours`, no rarities measured." in text
    html = page([results], [folder], 1)
    assert "left_out (5 scans): descriptor 5" in html
    assert "3.7% (2.7-4.7)" in html


def test_no_results_are_no_table() -> None:
    with pytest.raises(InputError, match="Expected files results.json .*, found none"):
        main(TablesSettings(()))


def test_results_of_another_version_are_refused(folder: Path) -> None:
    for content in ('{"format": "ctscreener-evaluation", "format_version": 1}', "[]"):
        (folder / "results.json").write_text(content)
        with pytest.raises(InputError) as error:
            main(TablesSettings((folder / "results.json",)))
        assert error.value.code == "tables.version"


def test_the_same_plot_is_the_same_text() -> None:
    named = [("a", score(0.7), True), ("b", score(0.2), False)]
    first, second = (svg(plot_set(named, "set")) for _ in range(2))
    assert first == second
    assert "<svg" in first


def test_a_model_is_named_with_its_speed(results: Made, folder: Path) -> None:
    fast = results | {"parameters": {"overlap": 0.0}}
    assert "mine & yours, overlap 0" in evaluation_table(fast)
    assert "mine & yours, overlap 0" in rarity_table([fast])
    assert "overlap" not in evaluation_table(results)
    text = page([results, fast], [folder, folder], 1)
    assert "mine &amp; yours, overlap 0 on" in text
