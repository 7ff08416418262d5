"""The log of a run: every event, but no more than is needed, and never in the way."""

import json
from pathlib import Path

from ScreenerSlicerLib.process.run_log import FILES_KEPT, LINES_KEPT, RunLog


def test_every_line_is_one_object_in_file_and_memory(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "logs")
    log.add({"event": "progress", "stage": "reading"})
    log.add({"event": "result", "findings": [{"rank": 1}], "provenance": {}})
    assert log.path is not None
    assert log.path.read_text().splitlines() == log.lines()
    first, last = (json.loads(line) for line in log.lines())
    assert first["stage"] == "reading"
    assert first["t"] >= 0
    assert "findings" not in last


def test_old_files_and_lines_go(tmp_path: Path) -> None:
    for number in range(FILES_KEPT + 5):
        (tmp_path / f"run-19990101-0000{number:02}.jsonl").touch()
    (tmp_path / "mine.txt").touch()
    log = RunLog(tmp_path)
    for number in range(LINES_KEPT + 1):
        log.add({"number": number})
    assert len(list(tmp_path.glob("run-*"))) == FILES_KEPT
    assert (tmp_path / "mine.txt").exists()
    assert not (tmp_path / "run-19990101-000000.jsonl").exists()
    assert len(log.lines()) == LINES_KEPT
    assert json.loads(log.lines()[0])["number"] == 1


def test_a_log_that_cannot_be_written_stays_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = RunLog(tmp_path / "file" / "logs")
    log.add({"event": "progress"})
    assert len(log.lines()) == 1
