"""The stub takes the engine's arguments, and says plainly that it is none."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from ctscreener import command
from ctscreener.findings import find
from ctscreener.maps import write_map
from ctscreener.scan import Scan
from ScreenerSlicerLib.process import stub_worker
from ScreenerSlicerLib.process.stub_worker import (
    BACKGROUND,
    PEAKS,
    SYNTHETIC,
    main,
    synthetic_rarity,
)


@pytest.fixture
def scan() -> Scan:
    hu = np.full((30, 40, 50), -1000.0, np.float32)
    hu[3:-3, 5:-5, 6:-6] = 40
    return Scan(hu, np.array([[0, 0, -2.0, 9], [0, -2, 0, 8], [3, 0, 0, 7], [0, 0, 0, 1]]))


def options_of(parser: argparse.ArgumentParser) -> dict[str, object]:
    """The options of `screen`, with their defaults."""
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    actions = verbs.choices["screen"]._actions
    return {
        name: action.default
        for action in actions
        for name in action.option_strings
        if name not in ("-h", "--help")
    }


def test_it_takes_what_the_engine_takes() -> None:
    assert options_of(stub_worker._parser()) == options_of(command._parser())


def test_the_map_has_two_balls_in_the_body(scan: Scan) -> None:
    rarity = synthetic_rarity(scan)
    body = scan.hu > -500
    assert np.array_equal(np.isfinite(rarity), body)
    assert rarity.dtype == np.float32
    found = find(rarity, scan)
    assert [round(one.peak_rarity, 3) for one in found] == list(PEAKS)
    assert np.nanmin(rarity) == BACKGROUND


def test_a_region_is_all_that_gets_a_value(scan: Scan) -> None:
    region = (-60.0, -20.0, -50.0, 0.0, 20.0, 60.0)
    rarity = synthetic_rarity(scan, region)
    index = np.argwhere(np.isfinite(rarity))
    ras = index @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    assert (ras >= np.array(region[::2])).all()
    assert (ras <= np.array(region[1::2])).all()
    assert len(index) < np.isfinite(synthetic_rarity(scan)).sum()


def test_its_result_says_that_no_model_was_run(
    scan: Scan, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_map(tmp_path / "scan.nrrd", scan.hu, scan.affine)
    out = tmp_path / "result"
    assert main(["screen", str(tmp_path / "scan.nrrd"), "--out", str(out), "--events"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    stages = [event["stage"] for event in events if event["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == [
        *("reading", "preparing", "scoring", "restoring", "findings", "writing"),
    ]
    result = events[-1]
    assert result["event"] == "result"
    assert result["provenance"]["synthetic"] is True
    for part in (result["provenance"]["model"]["name"], result["provenance"]["device"]):
        assert SYNTHETIC in part
    assert sorted(path.name for path in out.iterdir()) == [
        *("anomaly.nrrd", "findings.csv", "findings.json"),
    ]


def test_it_lists_as_many_as_it_is_asked_for_and_tells_of_the_rest(
    scan: Scan, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_map(tmp_path / "scan.nrrd", scan.hu, scan.affine)
    line = ["screen", str(tmp_path / "scan.nrrd"), "--out", str(tmp_path / "result")]
    assert main([*line, "--events", "--most", "1"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [one["code"] for one in events if one["event"] == "notice"] == ["findings.limit"]
    result = events[-1]
    assert (len(result["findings"]), result["found"]) == (1, len(PEAKS))
    assert result["provenance"]["parameters"]["findings"]["most"] == 1


@pytest.mark.parametrize("wishes", [{"fail": "scoring", "error": ["a.b", "No.", "Do."]}])
def test_it_fails_when_asked(
    wishes: dict[str, object],
    scan: Scan,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCREENER_STUB", json.dumps(wishes | {"notice": "smaller tiles"}))
    write_map(tmp_path / "scan.nrrd", scan.hu, scan.affine)
    out = tmp_path / "result"
    assert main(["screen", str(tmp_path / "scan.nrrd"), "--out", str(out), "--events"]) == 2
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[-1]["code"] == "a.b"
    assert {"event": "notice", "code": "stub.notice", "message": "smaller tiles"} in events
    assert not out.exists()
