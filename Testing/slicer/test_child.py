"""A child process: its lines, its end, and the end of all that it has started."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from ScreenerSlicerLib.process.child import GRACE_SECONDS, LINES_KEPT, ChildProcess
from Testing.slicer.processes import alive, pids_in, soon

GRANDCHILD = """
import os, pathlib, signal, subprocess, time
child = subprocess.Popen(["sleep", "1000"])
pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
time.sleep(1000)
"""
# What a process ignores, its children ignore too.
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
ENDS_WITHIN = 2.0


def child(script: str, folder: Path) -> ChildProcess:
    process = ChildProcess([sys.executable, "-S", "-c", script], folder)
    process.start()
    return process


def events_of(process: ChildProcess) -> list[dict[str, object]]:
    """Poll to the end."""
    events: list[dict[str, object]] = []
    assert soon(lambda: events.extend(process.poll()) or process.state == "ended")
    return events


def test_objects_are_events_and_all_else_is_text(tmp_path: Path) -> None:
    script = """
import sys
print('{"event": "progress", "done": 1}')
print("no JSON")
print('["no", "object"]')
print("to stderr", file=sys.stderr)
print('{"event": "result"}')
sys.exit(3)
"""
    process = ChildProcess([sys.executable, "-S", "-c", script], tmp_path)
    assert process.state == "ready"
    process.start()
    assert events_of(process) == [{"event": "progress", "done": 1}, {"event": "result"}]
    assert process.returncode == 3
    assert set(process.stderr_tail().splitlines()) == {
        "no JSON",
        '["no", "object"]',
        "to stderr",
    }
    assert process.poll() == []


def test_bytes_that_are_no_text_stop_nothing(tmp_path: Path) -> None:
    script = r"""
import os
os.write(1, b'\xff\xfe broken\n{"event": "after"}\n')
os.write(2, b'\xe4\n')
"""
    process = child(script, tmp_path)
    assert events_of(process) == [{"event": "after"}]


def test_the_last_lines_alone_are_kept(tmp_path: Path) -> None:
    count = LINES_KEPT + 50
    process = child(f"import sys; [print(i, file=sys.stderr) for i in range({count})]", tmp_path)
    events_of(process)
    assert process.stderr_tail().splitlines() == [str(i) for i in range(50, count)]


def test_a_poll_does_not_wait_for_a_silent_child(tmp_path: Path) -> None:
    process = child("import time; time.sleep(1000)", tmp_path)
    began = time.thread_time()
    assert [process.poll() for _ in range(100)] == [[]] * 100
    assert time.thread_time() - began < 0.1
    assert process.state == "running"
    process.kill()
    events_of(process)


@pytest.mark.parametrize("first", ["", STUBBORN])
def test_cancel_ends_a_sleeping_grandchild(tmp_path: Path, first: str) -> None:
    process = child(first + GRANDCHILD, tmp_path)
    pids = pids_in(tmp_path / "pids")
    assert all(map(alive, pids))
    began = time.monotonic()
    process.cancel()
    # It waits for nobody, not even as long as a child is given to end by itself.
    assert time.monotonic() - began < GRACE_SECONDS / 2
    events_of(process)
    assert soon(lambda: not any(map(alive, pids)), ENDS_WITHIN)
    assert time.monotonic() - began < ENDS_WITHIN


def test_cancel_lets_a_child_clear_up(tmp_path: Path) -> None:
    script = """
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path("cleared").touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
print('{"ready": 1}', flush=True)
time.sleep(1000)
"""
    process = child(script, tmp_path)
    assert soon(process.poll)
    process.cancel()
    events_of(process)
    assert (tmp_path / "cleared").exists()
    assert process.returncode == 130


def test_kill_is_at_once(tmp_path: Path) -> None:
    process = child(GRANDCHILD, tmp_path)
    pids = pids_in(tmp_path / "pids")
    process.kill()
    assert soon(lambda: not any(map(alive, pids)), 1.0)


def test_when_a_launcher_is_killed_what_it_launched_ends(tmp_path: Path) -> None:
    process = child(GRANDCHILD, tmp_path)
    launcher, launched = pids_in(tmp_path / "pids")
    os.kill(launcher, signal.SIGKILL)
    events_of(process)
    assert process.returncode == -signal.SIGKILL
    assert soon(lambda: not alive(launched), 1.0)


def test_what_left_the_group_does_not_hold_up_the_end(tmp_path: Path) -> None:
    script = """
import os, pathlib, subprocess
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
print('{"event": "result"}', flush=True)
"""
    process = child(script, tmp_path)
    _, left = pids_in(tmp_path / "pids")
    try:
        assert events_of(process) == [{"event": "result"}]
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_program_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    process = ChildProcess([str(tmp_path / "python")], tmp_path)
    with pytest.raises(FileNotFoundError):
        process.start()
    process.cancel()
    process.kill()
    assert process.state == "ready"


def test_the_environment_is_what_was_given(tmp_path: Path) -> None:
    script = """
import json, os
print(json.dumps({"given": os.environ.get("GIVEN"), "home": os.environ.get("HOME")}))
"""
    command = [sys.executable, "-S", "-c", script]
    process = ChildProcess(command, tmp_path, {"GIVEN": "ä"})
    process.start()
    assert events_of(process) == [{"given": "ä", "home": None}]
