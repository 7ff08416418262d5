"""A cohort beside the single-machine path: the same results, kept, gone on with, told."""

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk

from ctscreener.cohort.cluster import Cluster
from ctscreener.cohort.compact_map import ERROR, read_compact
from ctscreener.command import main
from ctscreener.parts import Parts
from Testing.cohort.made_up import make_scan


def cohort(
    data: Path, out: Path, *more: str, index: Path | None = None, model: str = "model"
) -> int:
    words = [str(index or data / "scans"), "--out", str(out), "--device", "cpu"]
    return main(["cohort", *words, "--model", str(data / model), *more])


def rows(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    table = pq.read_table(out / "cohort.parquet").to_pylist()
    assert len(table) == len({(row["run"], row["id"]) for row in table})
    return {(row["run"], row["id"]): row for row in table}


def timeless(path: Path) -> Any:  # noqa: ANN401
    record = json.loads(path.read_text())
    del record["provenance"]["seconds"]
    return record


@pytest.fixture
def screened(data: Path, here: Cluster, tmp_path: Path) -> Path:
    """A cohort that was screened once."""
    assert cohort(data, tmp_path / "out") == 2, "one of the scans is damaged"
    return tmp_path / "out"


def test_findings_that_are_not_listed_are_counted_as_in_a_plain_screening(
    data: Path, here: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parts, "at", lambda _parts, _ras: "arms")
    one = data / "later.nrrd"
    fixed = ["--model", str(data / "model"), "--device", "cpu", "--threshold", "1"]
    assert main(["screen", str(one), "--out", str(tmp_path / "plain"), *fixed]) == 0
    assert cohort(data, tmp_path / "out", "--threshold", "1", index=one) == 0
    found = [timeless(path) for path in tmp_path.rglob("findings.json")]
    assert len(found) == 2
    assert found[0] == found[1]
    assert found[0]["elsewhere"]["arms"] > 0


def test_results_are_those_of_a_plain_screening(data: Path, here: Cluster, tmp_path: Path) -> None:
    scans = sorted((data / "scans").glob("s*.nrrd"))
    fixed = ["--model", str(data / "model"), "--device", "cpu", "--threshold", "1"]
    assert main(["screen", *map(str, scans), "--out", str(tmp_path / "plain"), *fixed]) == 0
    assert cohort(data, tmp_path / "out", "--full", "--threshold", "1") == 2
    table = rows(tmp_path / "out")
    for scan in scans:
        plain = tmp_path / "plain" / scan.stem
        mine = tmp_path / "out" / "runs" / "model" / "scans" / scan.stem
        record = timeless(plain / "findings.json")
        assert record["findings"] != []
        assert timeless(mine / "findings.json") == record
        for name in ("findings.csv", "anomaly.nrrd"):
            assert (mine / name).read_bytes() == (plain / name).read_bytes()
        row = table["model", scan.stem]
        assert row["sha256"] == record["provenance"]["input"]["sha256"]
        assert [one["peak_rarity"] for one in row["findings"]] == [
            one["peak_rarity"] for one in record["findings"]
        ]
        full = sitk.GetArrayFromImage(sitk.ReadImage(str(plain / "anomaly.nrrd"))).ravel()
        values, affine = read_compact(mine / "rarity.nrrd")
        image = sitk.ReadImage(str(mine / "rarity.nrrd"))
        assert image.IsSameImageGeometryAs(sitk.ReadImage(str(plain / "anomaly.nrrd")))
        assert affine.shape == (4, 4)
        compact = sitk.GetArrayFromImage(image).ravel()
        scored = np.isfinite(full)
        assert np.array_equal(compact > 0, scored)
        assert np.abs((compact[scored] - 1.0) * 0.05 - full[scored]).max() <= ERROR + 1e-6
        assert np.isfinite(values).sum() == row["voxels"] == scored.sum()
        assert row["above"] == [int((full >= level).sum()) for level in range(1, 6)]


def test_a_scan_that_cannot_be_read_is_a_row_with_its_reason(screened: Path) -> None:
    row = rows(screened)["model", "bad"]
    assert (row["status"], row["code"]) == ("failed", "scan.unreadable")
    assert row["action"]
    assert row["findings"] == []
    assert row["voxels"] is None
    if os.name == "posix":
        assert (screened / "cohort.parquet").stat().st_mode & 0o777 == 0o600


def test_what_is_done_is_kept_and_what_changed_or_came_is_screened(
    data: Path, here: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    shutil.copytree(data / "scans", scans)
    assert cohort(data, out, index=scans) == 2
    first = rows(out)
    assert "5 screened, 0 known before, 1 failed" in capsys.readouterr().out
    assert cohort(data, out, index=scans) == 2
    assert "0 screened, 5 known before, 0 failed, 1 had failed before" in capsys.readouterr().out
    assert rows(out) == first

    make_scan(scans / "s001.nrrd", 101)
    shutil.copy(data / "later.nrrd", scans / "a_later.nrrd")
    make_scan(scans / "bad.nrrd", 102)
    assert cohort(data, out, index=scans) == 0
    assert "3 screened, 4 known before, 0 failed." in capsys.readouterr().out
    table = rows(out)
    assert len(table) == 7
    assert table["model", "bad"]["status"] == "done"
    same = [key for key in first if first[key] == table[key]]
    assert sorted(scan for _, scan in same) == ["s000", "s002", "s003", "s004"]


def test_failures_are_tried_again_on_demand(
    screened: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cohort(data, screened, "--retry") == 2
    assert "0 screened, 5 known before, 1 failed." in capsys.readouterr().out


def test_full_maps_are_made_where_they_are_missing(
    screened: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = screened / "runs" / "model" / "scans" / "s000"
    assert not (folder / "anomaly.nrrd").exists()
    cohort(data, screened, "--full")
    assert (folder / "anomaly.nrrd").exists()
    assert (folder / "overview.png").exists()
    cohort(data, screened)
    assert "5 screened" in capsys.readouterr().out


def test_other_options_do_not_overwrite_a_run(
    screened: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (screened / "cohort.parquet").read_bytes()
    assert cohort(data, screened, "--threshold", "1") == 2
    told = capsys.readouterr().err
    assert "cohort.other_settings" in told
    assert "another parameters" in told
    assert (screened / "cohort.parquet").read_bytes() == before
    assert cohort(data, screened, "--most", "6") == 2
    assert "another parameters" in capsys.readouterr().err
    values, _ = read_compact(screened / "runs" / "model" / "scans" / "s000" / "rarity.nrrd")
    many = ["--threshold", f"{np.nanpercentile(values, 90):.3f}", "--min-volume", "0"]
    assert cohort(data, screened, *many, "--most", "1", "--run", "one") == 2
    table = rows(screened)
    assert {run for run, _ in table} == {"model", "one"}
    of_one = table["one", "s000"]
    assert of_one["found"] > len(of_one["findings"]) == 1


def test_a_second_model_stands_beside_the_first_and_is_compared(
    screened: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cohort(data, screened, model="second") == 2
    assert main(["cohort", "compare", str(screened), "model", "second"]) == 0
    printed = capsys.readouterr().out
    assert "5 scans by both." in printed
    lines = list(csv.DictReader((screened / "compare_model_second.csv").open()))
    table = rows(screened)
    assert [line["scan"] for line in lines] == [f"s00{k}" for k in range(5)]
    for line in lines:
        assert int(line["findings"]) == len(table["model", line["scan"]]["findings"])
        assert int(line["findings_2"]) == len(table["second", line["scan"]]["findings"])
    assert main(["cohort", "compare", str(screened), "model", "third"]) == 2
    assert "cohort.run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["no_such_folder", "--out", "x"], "cohort.index"),
        (["report", "no_such_folder"], "cohort.missing"),
        (["report"], "option.invalid"),
        (["a", "b", "--out", "x"], "option.invalid"),
        (["merge", "no_such_folder", "--out", "x"], "cohort.missing"),
        (["SCANS"], "option.invalid"),
        (["SCANS", "--out", "SCANS/out"], "option.invalid"),
        (["SCANS", "--out", "x", "--threshold", "nan"], "option.invalid"),
        (["SCANS", "--out", "x", "--most", "0"], "option.invalid"),
        (["SCANS", "--out", "x", "--model", "no_such_model"], "model.missing"),
        (["SCANS", "--out", "x", "--device", "abacus"], "device.unavailable"),
        (["SCANS", "--out", "x", "--run", "../up"], "cohort.run"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(
    data: Path,
    here: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = [word.replace("SCANS", str(data / "scans")) for word in words]
    assert main(["cohort", *said]) == 2
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if "[cohort.workers]" not in line]
    assert len(lines) == 1
    assert code in lines[0]


def test_without_its_libraries_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ctscreener.cohort.command.NEEDS", ("distributed", "no_such_library"))
    assert main(["cohort", "scans", "--out", "x"]) == 2
    told = capsys.readouterr().err
    assert "found no no_such_library" in told
    assert "ctscreener[cohort]" in told


def test_a_full_disk_stops_it_with_one_line_and_the_rest_is_done_later(
    data: Path, here: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=0))
        assert cohort(data, tmp_path / "out") == 2
    assert capsys.readouterr().err.count("output.disk_full") == 1
    assert {file.stem for file in (tmp_path / "out").rglob("failed/*.json")} <= {"bad"}
    assert cohort(data, tmp_path / "out") == 2
    table = rows(tmp_path / "out")
    assert sorted(scan for (_, scan), row in table.items() if row["status"] == "failed") == ["bad"]
