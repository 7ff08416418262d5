"""A stand-in for the engine in self tests: its events and files, and a map that means nothing.

Where Slicer is built there is no PyTorch.
`python -m ScreenerSlicerLib.process.stub_worker screen ...` takes the engine's arguments there,
runs no model, and says so in the provenance.

The variable `SCREENER_STUB` holds a JSON object for tests of what goes wrong, with any of
`notice` (a text), `pause`, `die` and `fail` (the stage in which the stub hangs, is killed, or
reports an error), `until` (a file: once it is there, the stub hangs no longer) and `error` (the
code, message and action of that error).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.errors import InputError
from ctscreener.events import reporter
from ctscreener.files import read_scan, write_map
from ctscreener.findings import FindingSettings, found_in_parts, told_of_limit
from ctscreener.findings_text import findings_to_csv, findings_to_json
from ctscreener.outputs import publish
from ctscreener.reporter import Reporter
from ctscreener.scan import Scan
from ctscreener.version import VERSION

SYNTHETIC = "synthetic: no model was run"
BODY_HU = -500.0
BACKGROUND, RADIUS_MM, PEAKS = 1.0, 12.0, (5.0, 4.0)
TILES, TILE_SECONDS = 10, 0.01
FOREVER_SECONDS = 3600.0


def main(argv: Sequence[str] | None = None) -> int:
    """Pretend to screen one scan; returns an exit status like the engine's."""
    options = _parser().parse_args(argv)
    wishes = json.loads(os.environ.get("SCREENER_STUB", "{}"))
    with reporter(options.events) as report:
        try:
            _screen(options, report, wishes)
        except InputError as error:
            report.refused(error)
            return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("stub_worker", allow_abbrev=False)
    screen = parser.add_subparsers(required=True).add_parser("screen", allow_abbrev=False)
    add = screen.add_argument
    add("scan", type=Path)
    add("--out", required=True, type=Path)
    add("--model", default="preview")
    add("--device", default="auto")
    add("--threshold", type=float, default=3.0)
    add("--overlap", type=float)
    add("--min-volume", type=float, default=0.1)
    add("--most", type=int, default=5)
    add("--all-parts", action="store_true")
    add("--encoder", type=Path)
    add("--region", nargs=6, type=float)
    add("--series")
    add("--batch", type=int, default=1)
    add("--events", action="store_true")
    add("--json", action="store_true")
    return parser


def _screen(options: argparse.Namespace, report: Reporter, wishes: dict[str, Any]) -> None:
    began = time.perf_counter()
    _stage("reading", 1, report, wishes)
    scan = read_scan(options.scan)
    _stage("preparing", 1, report, wishes)
    if "notice" in wishes:
        report.notice("stub.notice", wishes["notice"])
    _stage("scoring", TILES, report, wishes)
    _stage("restoring", 1, report, wishes)
    rarity = synthetic_rarity(scan, options.region)
    _stage("findings", 1, report, wishes)
    settings = FindingSettings(options.threshold, options.min_volume, options.most)
    everything = found_in_parts(rarity, scan, settings)
    findings, total = everything.findings, everything.total
    if total > len(findings):
        report.notice("findings.limit", told_of_limit(len(findings), total))
    _stage("writing", 1, report, wishes)
    seconds = {"all": round(time.perf_counter() - began, 3)}
    text = findings_to_json(findings, _provenance(options, scan, settings, seconds), total)
    publish(
        options.out,
        {
            "anomaly.nrrd": lambda file: write_map(file, rarity, scan.affine),
            "findings.csv": lambda file: _write(file, findings_to_csv(findings, total=total)),
            "findings.json": lambda file: _write(file, text),
        },
    )
    report.result("scan", options.out, json.loads(text), reused=False)


def _stage(stage: str, total: int, report: Reporter, wishes: dict[str, Any]) -> None:
    """Report a stage step by step, and misbehave in it where a test asks for that."""
    for done in range(total):
        report.progress(stage, done, total)
        time.sleep(TILE_SECONDS)
    if wishes.get("pause") == stage:
        _pause(wishes.get("until"))
    if wishes.get("die") == stage:
        os.abort()
    if wishes.get("fail") == stage:
        raise InputError(*wishes["error"])
    report.progress(stage, total, total)


def _pause(until: str | None) -> None:
    """Hang until a file is there, if one is named."""
    end = time.monotonic() + FOREVER_SECONDS
    while time.monotonic() < end and not (until and Path(until).exists()):
        time.sleep(TILE_SECONDS)


def synthetic_rarity(scan: Scan, region: Sequence[float] | None = None) -> np.ndarray:
    """Draw a map: two balls around two voxels of the body, an even value in the rest of it.

    Arguments:
        scan: The scan.
        region: Lowest and highest R, A, S in mm of what gets a value; all of the body when None.

    Returns:
        float32 on the scan's grid, NaN outside of the body.
    """
    body = scan.hu > BODY_HU
    index = np.moveaxis(np.indices(scan.shape, np.float32), 0, -1)
    ras = index @ scan.affine[:3, :3].T.astype(np.float32) + scan.affine[:3, 3].astype(np.float32)
    if region is not None:
        low, high = np.array(region[::2]), np.array(region[1::2])
        body &= ((ras >= low) & (ras <= high)).all(axis=-1)
    rarity = np.where(body, np.float32(BACKGROUND), np.float32(np.nan))
    inside = np.flatnonzero(body)
    if not len(inside):
        raise InputError("scan.no_body", "Expected a body, found none.", "Choose another scan.")
    for peak, share in zip(PEAKS, (0.5, 0.25), strict=True):
        centre = ras.reshape(-1, 3)[inside[int(share * len(inside))]]
        away = np.linalg.norm(ras - centre, axis=-1)
        ball = peak - (peak - BACKGROUND) * away / RADIUS_MM
        rarity = np.where(body, np.fmax(rarity, ball.astype(np.float32)), rarity)
    return rarity


def _provenance(
    options: argparse.Namespace, scan: Scan, settings: FindingSettings, seconds: dict[str, float]
) -> dict[str, object]:
    return {
        "synthetic": True,
        "software": {"name": "Screener stub worker", "version": VERSION},
        "model": {"name": SYNTHETIC, "weights_sha256": "", "settings_sha256": ""},
        "parameters": {
            "findings": asdict(settings),
            "overlap": options.overlap,
            "region": options.region,
        },
        "grid": {"shape": list(scan.shape), "voxel_to_ras_mm": scan.affine.tolist()},
        "device": "none, " + SYNTHETIC,
        "notices": [],
        "seconds": seconds,
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
