"""One scan in on stdin, its result out on stdout, and nothing is left."""

import hashlib
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctscreener.framed import read_line, send_file
from ctscreener.maps import write_map

ROOT = Path(__file__).parents[2]
STUB = "ScreenerSlicerLib.process.stub_worker"
AFFINE = np.array([[0, 0, -2.0, 30], [0, -2.0, 0, 30], [3.0, 0, 0, -30], [0, 0, 0, 1]])


@pytest.fixture
def scan(tmp_path: Path) -> bytes:
    """A block of tissue in air, as it is sent."""
    values = np.full((20, 30, 30), -1000, np.float32)
    values[3:-4, 4:-5, 4:-5] = 40
    write_map(tmp_path / "scan.nrrd", values, AFFINE)
    stream = BytesIO()
    send_file(stream, tmp_path / "scan.nrrd")
    return stream.getvalue()


def started(folder: Path, wish: str = "{}") -> "subprocess.Popen[bytes]":
    """Start it with the stub in the engine's place; its temporary files go into a folder."""
    folder.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "SCREENER_STUB": wish,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ScreenerSlicer")]),
    }
    line = [sys.executable, "-m", "ctscreener.pipe", "--worker", STUB]
    return subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=-1
    )


def received(out: bytes) -> list[dict[str, Any]]:
    """The events of a stream; files are compared with their hashes."""
    stream, events = BytesIO(out), []
    while (event := read_line(stream)) is not None:
        events.append(event)
        if event["event"] == "file":
            content = stream.read(event["bytes"])
            assert hashlib.sha256(content).hexdigest() == event["sha256"]
    return events


def test_events_then_files_then_the_result(scan: bytes, tmp_path: Path) -> None:
    child = started(tmp_path / "there")
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(scan)
    child.stdin.flush()
    events = received(child.stdout.read())
    child.stdin.close()
    assert child.wait(60) == 0
    kinds = [event["event"] for event in events]
    first = kinds.index("file")
    assert set(kinds[:first]) == {"progress"}
    assert kinds[first:] == ["file"] * 3 + ["result"]
    names = {event["name"] for event in events if event["event"] == "file"}
    assert names == {"anomaly.nrrd", "findings.csv", "findings.json"}
    assert list((tmp_path / "there").iterdir()) == []


def test_the_end_of_stdin_ends_it(scan: bytes, tmp_path: Path) -> None:
    child = started(tmp_path / "there", json.dumps({"pause": "scoring"}))
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(scan)
    child.stdin.flush()
    while b"scoring" not in child.stdout.readline():
        pass
    assert len(list((tmp_path / "there").iterdir())) == 1
    child.stdin.close()
    child.wait(60)
    assert list((tmp_path / "there").iterdir()) == []


def test_what_is_no_scan_is_refused_in_one_line(tmp_path: Path) -> None:
    child = started(tmp_path / "there")
    out, _ = child.communicate(b"hello\n", 60)
    assert child.returncode == 2
    (event,) = received(out)
    assert (event["event"], event["code"]) == ("error", "stream.damaged")
    assert list((tmp_path / "there").iterdir()) == []
