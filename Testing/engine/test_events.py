"""Events: one line of JSON each, for programs."""

import io
import json
from pathlib import Path

from ctscreener.errors import InputError
from ctscreener.events import Events
from Testing.engine.small_record import FINDING, RECORD


def test_every_event_is_one_line_of_json_whatever_is_in_it() -> None:
    stream = io.StringIO()
    events = Events(stream)
    events.progress("scoring", 1, 2)
    events.result("ä\nb\udc80", Path("out"), RECORD, reused=False)
    events.refused(InputError("code", "Two\nlines.", "Do."), "scan")
    events.fault(ValueError("a\nb"))
    lines = stream.getvalue().splitlines()
    assert stream.getvalue().isascii()
    kinds = [json.loads(line)["event"] for line in lines]
    assert kinds == ["progress", "result", "error", "error"]
    assert json.loads(lines[1])["findings"] == [FINDING]
    refused = {"event": "error", "code": "code", "message": "Two lines.", "action": "Do."}
    assert json.loads(lines[2]) == {**refused, "scan": "scan"}
    assert json.loads(lines[3])["code"] == "internal"


def test_a_single_scan_sends_no_count_and_several_do() -> None:
    stream = io.StringIO()
    Events(stream).begin("a", 1, 1)
    assert stream.getvalue() == ""
    Events(stream).begin("b", 2, 3)
    wanted = {"event": "progress", "stage": "scans", "done": 1, "total": 3}
    assert json.loads(stream.getvalue()) == wanted


def test_each_event_is_sent_at_once(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("w") as stream:
        Events(stream).progress("scoring", 1, 2)
        assert (tmp_path / "lines").read_text().endswith("\n")
