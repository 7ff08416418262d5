"""Findings as text: a table for spreadsheets, and JSON with where they come from."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict

from ctscreener.findings import NOTICE, Finding

_RARITY = "-log10 share of reference body voxels"
_UNITS = {
    "peak_rarity": _RARITY,
    "mean_rarity": _RARITY,
    "volume_ml": "ml",
    "diameter_mm": "mm",
    "mean_hu": "HU",
    "peak_ras": "mm to the right, anterior and superior of the patient",
    "peak_index": "voxel (d, h, w)",
    "box_min": "voxel (d, h, w)",
    "box_max": "voxel (d, h, w), included",
}


def findings_to_csv(
    findings: list[Finding], counted: float | None = None, total: int | None = None
) -> str:
    """Write findings as a table, one a line; the column names hold the units.

    Arguments:
        findings: What `find` returned.
        counted: The highest rarity that was counted: beyond it numbers give an order alone.
            None where that is not known.
        total: As in `findings_to_json`; it stands in the column `found` of every line.
    """
    names = ["rank", "peak_rarity_log10", "mean_rarity_log10", "volume_ml", "diameter_mm"]
    names += ["mean_hu", "peak_right_mm", "peak_anterior_mm", "peak_superior_mm"]
    names += [f"{what}_{axis}_voxel" for what in ("peak", "box_min", "box_max") for axis in "dhw"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*names, "voxels", "part", "rarity_counted_up_to_log10", "found"])
    end = "" if counted is None else f"{counted:.4f}"
    found = len(findings) if total is None else total
    for one in findings:
        measured = (one.peak_rarity, one.mean_rarity, one.volume_ml, one.diameter_mm, one.mean_hu)
        numbers = [f"{number:.4f}" for number in (*measured, *one.peak_ras)]
        boxes = (*one.peak_index, *one.box_min, *one.box_max)
        table.writerow([one.rank, *numbers, *boxes, one.voxels, one.part, end, found])
    return text.getvalue()


def findings_to_json(
    findings: list[Finding],
    provenance: dict[str, object],
    total: int | None = None,
    counted: float | None = None,
    elsewhere: Mapping[str, int] | None = None,
) -> str:
    """Write findings with where they come from as strict JSON, which has no NaN.

    Arguments:
        findings: What `find` returned.
        provenance: Model, version, parameters and whatever else made these findings.
        total: How many there are without the limit of `FindingSettings.most`; as many when None.
        counted: As in `findings_to_csv`.
        elsewhere: How many more there are in each part of the body that was not asked for.

    Raises:
        ValueError: when a number is not finite.
    """
    far = "" if counted is None else f"; counted up to {counted:.2f}, beyond it an order alone"
    rarity = {name: unit + far for name, unit in _UNITS.items() if unit == _RARITY}
    data = {
        "format": "ctscreener.findings",
        "format_version": 1,
        "notice": NOTICE,
        "provenance": provenance,
        "units": _UNITS | rarity,
        "found": len(findings) if total is None else total,
        "elsewhere": dict(elsewhere or {}),
        "findings": [asdict(one) for one in findings],
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"
