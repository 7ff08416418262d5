"""Findings as text keep their units, and JSON is strict."""

import csv
import io
import json
from dataclasses import asdict

import numpy as np
import pytest

from ctscreener.findings import (
    NOTICE,
    find,
)
from ctscreener.findings_text import findings_to_csv, findings_to_json
from Testing.engine.small_map import ANY_SIZE, OBLIQUE, scan_like


def test_csv_says_what_was_found_with_its_units() -> None:
    rarity = np.zeros((2, 3, 4), np.float32)
    rarity[1, 2, 3] = 3.25
    finding = find(rarity, scan_like(rarity, OBLIQUE), ANY_SIZE)
    (row,) = csv.DictReader(io.StringIO(findings_to_csv(finding)))
    assert float(row["peak_rarity_log10"]) == 3.25
    assert [int(row[f"peak_{axis}_voxel"]) for axis in "dhw"] == [1, 2, 3]
    place = [float(row[f"peak_{axis}_mm"]) for axis in ("right", "anterior", "superior")]
    assert place == pytest.approx(finding[0].peak_ras, abs=1e-4)
    assert {"volume_ml", "diameter_mm", "mean_hu", "voxels"} <= set(row)
    assert (row["rarity_counted_up_to_log10"], row["found"]) == ("", "1")
    (row,) = csv.DictReader(io.StringIO(findings_to_csv(finding, 3.125, 19)))
    assert float(row["peak_rarity_log10"]) == 3.25, "numbers stay numbers"
    assert float(row["rarity_counted_up_to_log10"]) == 3.125
    assert row["found"] == "19", "listed or not"


def test_json_is_strict_and_carries_the_notice() -> None:
    rarity = np.zeros((2, 3, 4), np.float32)
    rarity[1, 2, 3] = 3.25
    findings = find(rarity, scan_like(rarity), ANY_SIZE)
    data = json.loads(findings_to_json(findings, {"model": "preview"}), parse_constant=pytest.fail)
    assert data["notice"] == NOTICE
    assert data["provenance"] == {"model": "preview"}
    assert "counted" not in json.dumps(data["units"])
    counted = json.loads(findings_to_json(findings, {}, counted=3.125))["units"]
    assert "counted up to 3.12" in counted["peak_rarity"]
    assert "counted up to 3.12" in counted["mean_rarity"]
    assert data["findings"] == json.loads(json.dumps([asdict(one) for one in findings]))
    with pytest.raises(ValueError, match="JSON"):
        findings_to_json(findings, {"seconds": float("nan")})
