"""A child process and all that it starts: its JSON lines, its end, and how to end it.

PythonSlicer is a launcher: ending it alone leaves the Python behind it running. So the child gets
a process group of its own, and whatever ends, ends with the whole group.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, final

LINES_KEPT = 200
"""Lines of stderr that are remembered."""
GRACE_SECONDS = 1.0
"""From the request to end until the group is killed."""
DRAIN_SECONDS = 0.5
"""How long after the child's end its last lines are waited for."""


@final
class ChildProcess:
    """A process that writes one JSON object a line to stdout, and anything to stderr.

    Arguments:
        command: The program and its arguments, no shell.
        folder: The working folder.
        environment: All variables of the process; those of this process when None.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._folder = folder
        self._environment = None if environment is None else dict(environment)
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._events: deque[dict[str, Any]] = deque()
        self._tail: deque[str] = deque(maxlen=LINES_KEPT)
        self._kill_at: float | None = None
        self._ended_at: float | None = None
        self._ended = False

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: The program cannot be started.
        """
        assert self._process is None, "a child is started once"
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Another locale must not turn a line into an exception.
            encoding="utf-8",
            errors="replace",
            **_own_group(),
        )
        for stream, take in (
            (self._process.stdout, self._take_event),
            (self._process.stderr, self._take_text),
        ):
            assert stream is not None, "both are pipes"
            reader = threading.Thread(target=_read, args=(stream, take), daemon=True)
            reader.start()
            self._readers.append(reader)

    @property
    def state(self) -> Literal["ready", "running", "ended"]:
        """What the last `poll` found: not started, running, or ended with every line read."""
        if self._process is None:
            return "ready"
        return "ended" if self._ended else "running"

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while it runs."""
        return None if self._process is None else self._process.returncode

    def poll(self) -> list[dict[str, Any]]:
        """Return the objects that came since the last poll; never waits.

        After the call that finds `state` ended there is nothing more to come.
        """
        if self._process is not None and not self._ended:
            self._watch(self._process)
        return [self._events.popleft() for _ in range(len(self._events))]

    def stderr_tail(self) -> str:
        """Return the last lines of stderr, and what on stdout was no JSON object."""
        return "\n".join(self._tail.copy())

    def cancel(self) -> None:
        """Ask the whole tree to end; returns at once, and `poll` kills it after a second."""
        if self._process is None or self._ended or self._kill_at is not None:
            return
        self._kill_at = time.monotonic() + GRACE_SECONDS
        _ask_to_end(self._process.pid)

    def kill(self) -> None:
        """End the whole tree at once."""
        if self._process is None or self._ended:
            return
        self._kill_at = time.monotonic()
        _kill_group(self._process.pid)

    def _watch(self, process: "subprocess.Popen[str]") -> None:
        """Notice the end, and see to it that what the child started ends as well."""
        now = time.monotonic()
        if process.poll() is None:
            if self._kill_at is not None and now >= self._kill_at:
                _kill_group(process.pid)
            return
        if self._ended_at is None:
            self._ended_at = now
            _kill_group(process.pid)
        # Something that left the group may hold the pipes for ever: do not wait for it.
        drained = not any(reader.is_alive() for reader in self._readers)
        self._ended = drained or now - self._ended_at > DRAIN_SECONDS

    def _take_event(self, line: str) -> None:
        event = _json_object(line)
        if event is None:
            self._take_text(line)
        else:
            self._events.append(event)

    def _take_text(self, line: str) -> None:
        self._tail.append(line.rstrip())


def _read(stream: IO[str], take: Callable[[str], None]) -> None:
    """Hand over each line of a pipe until its end; runs in a thread."""
    with stream:
        lines: Iterable[str] = stream
        for line in lines:
            take(line)


def _json_object(line: str) -> dict[str, Any] | None:
    """Read a line as a JSON object; None when it is something else."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


# Two platforms, and a type checker sees the one that it runs on: hence `sys.platform`.
if sys.platform == "win32":

    def _own_group() -> dict[str, Any]:
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}

    def _ask_to_end(pid: int) -> None:
        # Windows has no way to ask a process without a window.
        _kill_group(pid)

    def _kill_group(pid: int) -> None:
        program = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
        with suppress(OSError):
            subprocess.Popen(
                [str(program), "/T", "/F", "/PID", str(pid)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                creationflags=subprocess.CREATE_NO_WINDOW,
            )

else:

    def _own_group() -> dict[str, Any]:
        return {"start_new_session": True}

    def _ask_to_end(pid: int) -> None:
        _signal_group(pid, signal.SIGTERM)

    def _kill_group(pid: int) -> None:
        _signal_group(pid, signal.SIGKILL)

    def _signal_group(pid: int, number: int) -> None:
        # Nobody left, or (on macOS) none but the dead.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
