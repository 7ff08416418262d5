"""What a run tells the program that started it: JSON lines, and nothing else on that stream."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, final

from ctscreener.reporter import Reporter
from ctscreener.result_text import show_json
from ctscreener.terminal import Terminal


@final
class Events(Reporter):
    """One JSON object a line, each sent at once.

    Arguments:
        stream: Where the lines go.

    Example:
        >>> Events(sys.stdout).progress("scoring", 3, 12)
        {"event": "progress", "stage": "scoring", "done": 3, "total": 12}
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _send(self, event: str, **fields: object) -> None:
        print(json.dumps({"event": event, **fields}), file=self._stream, flush=True)

    def begin(self, name: str, number: int, count: int) -> None:
        """Send how many scans are behind us, when there are several."""
        if count > 1:
            self.progress("scans", number - 1, count)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Send a progress line."""
        self._send("progress", stage=stage, done=done, total=total)

    def notice(self, code: str, message: str) -> None:
        """Send a notice line."""
        self._send("notice", code=code, message=message)

    def result(self, scan: str, folder: Path, record: Mapping[str, Any], reused: bool) -> None:
        """Send a result line: the record, and the folder that holds the files."""
        self._send("result", scan=scan, folder=str(folder.resolve()), reused=reused, **record)

    def error(self, code: str, message: str, action: str, scan: str | None) -> None:
        """Send an error line."""
        self._send("error", code=code, message=message, action=action, scan=scan)


@contextlib.contextmanager
def reporter(events: bool, as_json: bool = False) -> Iterator[Reporter]:
    """Choose who hears, and keep anything else that prints out of what programs read.

    Arguments:
        events: Send JSON lines on stdout. Whatever prints to stdout inside this block, compiled
            libraries included, goes to stderr instead.
        as_json: Send results on stdout, as JSON, in the same way; a person hears the rest.

    Yields:
        The reporter.
    """
    if events:
        with _own_stdout() as stream:
            yield Events(stream)
    elif as_json:
        with _own_stdout() as stream:
            yield Terminal(stream, sys.stderr, show=show_json)
    else:
        yield Terminal(sys.stdout, sys.stderr)


@contextlib.contextmanager
def _own_stdout() -> Iterator[TextIO]:
    """Take stdout over: whatever else prints to it goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    stream = open(kept, "w", encoding="utf-8")  # noqa: SIM115 (closed after stdout is back)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield stream
    finally:
        os.dup2(kept, 1)
        with contextlib.suppress(OSError):
            stream.close()
