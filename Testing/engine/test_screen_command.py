"""`ctscreener screen` from end to end."""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import ctscreener.screening
from ctscreener import model as models
from ctscreener.command import main
from ctscreener.errors import InputError
from ctscreener.findings import FindingSettings, Found
from ctscreener.screening import ScreenSettings
from Testing.engine.command_line import (
    FILES,
    scan_and_model,
    screen,
    threshold_of_many,
    whole_model,
)

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan and a model."""
    return scan_and_model(tmp_path_factory.mktemp("data"))


def test_a_screening_leaves_four_files_that_agree(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert screen(data, tmp_path / "out", "--threshold", "0.5") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    record = json.loads((tmp_path / "out" / "findings.json").read_text())
    rows = list(csv.DictReader((tmp_path / "out" / "findings.csv").open()))
    assert len(rows) == len(record["findings"]) > 0
    origin = record["provenance"]
    assert origin["input"]["name"] == "scan.nrrd"
    assert origin["device"] == "cpu"
    scale = models.load_model(str(data / "model")).calibration
    assert origin["model"]["rarity_counted_up_to"] == scale.measured_up_to
    assert float(rows[0]["rarity_counted_up_to_log10"]) == pytest.approx(scale.measured_up_to)
    assert "counted up to" in record["units"]["peak_rarity"]
    assert origin["torch"] == torch.__version__
    assert origin["parameters"]["findings"]["threshold"] == 0.5
    assert {"reading", "scoring"} <= set(origin["seconds"])
    assert str(tmp_path) not in json.dumps(record), "no folder of the user's is recorded"
    printed = capfd.readouterr()
    beyond = sum(one["peak_rarity"] > scale.measured_up_to for one in record["findings"])
    assert printed.out.count(f"> {np.floor(10 * scale.measured_up_to) / 10}") == beyond > 0
    assert str(tmp_path / "out" / "overview.png") in printed.out
    assert "Absence of colour is not absence of disease." in printed.out
    assert "100%" in printed.err
    scan = sitk.ReadImage(str(data / "scan.nrrd"))
    anomaly = sitk.ReadImage(str(tmp_path / "out" / "anomaly.nrrd"))
    assert anomaly.GetPixelID() == sitk.sitkFloat32
    assert scan.IsSameImageGeometryAs(anomaly)
    if os.name == "posix":
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_a_missing_scan_is_status_2_and_an_event(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert screen(data, tmp_path / "out", "--events", scans=[tmp_path / "no.nii.gz"]) == 2
    last = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (last["event"], last["code"]) == ("error", "scan.missing")
    assert last["message"]
    assert last["action"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fill", [lambda: bytearray(2**60), lambda: torch.empty(2**60)])
def test_too_little_memory_is_not_called_a_fault(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fill: Callable[[], object],
) -> None:
    def too_large(*_arguments: object) -> None:
        fill()

    monkeypatch.setattr(ctscreener.screening, "screen", too_large)
    assert screen(data, tmp_path / "out") == 2
    assert "device.memory" in capfd.readouterr().err


def test_options_reach_the_engine_and_default_to_its_settings(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(_scan: object, _model: object, settings: ScreenSettings, *_hear: object) -> None:
        seen.append(settings)
        raise InputError("test", "Seen.", "Go on.")

    monkeypatch.setattr(ctscreener.screening, "screen", look)
    screen(data, tmp_path / "out")
    other = ["--threshold", "4", "--min-volume", "2", "--overlap", "0.25", "--batch", "3"]
    other += ["--all-parts", "--most", "7"]
    other += ["--region", "-9", "9", "0", "20", "-5", "5.5"]
    screen(data, tmp_path / "out", *other)
    assert seen == [
        ScreenSettings(device="cpu"),
        ScreenSettings(
            FindingSettings(4.0, 2.0, 7),
            0.25,
            (-9.0, 9.0, 0.0, 20.0, -5.0, 5.5),
            "cpu",
            3,
            all_parts=True,
        ),
    ]


def test_findings_beyond_the_limit_are_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def many(*arguments: Any) -> Found:  # noqa: ANN401 - whatever it is given
        return replace(found_before(*arguments), total=59)

    found_before = ctscreener.screening.found_by
    monkeypatch.setattr(ctscreener.screening, "found_by", many)
    assert screen(data, tmp_path / "out", "--threshold", "0.5") == 0
    record = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert record["found"] == 59 > len(record["findings"]) > 0
    (notice,) = record["provenance"]["notices"]
    assert notice.startswith("59 regions lie above the threshold")
    printed = capfd.readouterr()
    assert f"{notice} [findings.limit]" in printed.err
    assert f"{len(record['findings'])} of 59 findings" in printed.out


def test_as_many_are_listed_as_are_asked_for_and_the_map_is_the_same(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert screen(data, tmp_path / "first") == 0
    many = ["--threshold", threshold_of_many(tmp_path / "first"), "--min-volume", "0"]
    for most in ("1", "1000"):
        assert screen(data, tmp_path / most, *many, "--most", most) == 0
    few, all_of_them = (
        json.loads((tmp_path / most / "findings.json").read_text()) for most in ("1", "1000")
    )
    assert all_of_them["found"] == few["found"] == len(all_of_them["findings"]) > 1
    assert few["findings"] == all_of_them["findings"][:1]
    assert few["provenance"]["parameters"]["findings"]["most"] == 1
    (row,) = csv.DictReader((tmp_path / "1" / "findings.csv").open())
    assert int(row["found"]) == few["found"]
    assert f"1 of {few['found']} findings" in capfd.readouterr().out
    maps = [(tmp_path / most / "anomaly.nrrd").read_bytes() for most in ("1", "1000")]
    assert maps[0] == maps[1]


def test_a_whole_volume_model_is_screened_with_and_told_of_an_overlap_that_it_has_not(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(whole_model(tmp_path / "whole"))]
    assert screen(data, tmp_path / "plain", *model) == 0
    assert "overlap" not in capfd.readouterr().err
    assert screen(data, tmp_path / "asked", *model, "--overlap", "0.25") == 0
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "overlap.unused" in line]
    assert "whole" in line
    records = [
        json.loads((tmp_path / name / "findings.json").read_text())["provenance"]
        for name in ("plain", "asked")
    ]
    assert [record["parameters"]["overlap"] for record in records] == [None, None]
    assert records[0]["model"] == records[1]["model"]
    assert main(["model", model[1]]) == 0
    assert "# Whole" in capfd.readouterr().out


def test_a_number_out_of_range_is_told_as_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["screen", "none.nrrd", "--out", str(tmp_path), "--most", "1000001"]
    assert main(line) == 2
    assert "from 1 to 1000000, found 1000001" in capsys.readouterr().err
