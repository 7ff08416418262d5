"""Screens one scan that comes in on stdin, and sends what it found out on stdout.

    ssh somewhere python3 -m ctscreener.pipe --model preview < scan, framed > events and files

What another machine runs for Slicer: nothing listens there, no file has to be copied before or after,
and whatever ends, the temporary folder with the scan is gone. In comes one file as `framed` writes
it, and the stream stays open: its end means that nobody waits any more. Out come the events of
`ctscreener screen --events`, the files of the result, each with its hash, and the result event last.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO

from ctscreener import owner
from ctscreener.errors import InputError
from ctscreener.framed import read_line, receive_file, send_file
from ctscreener.outputs import RESULTS
from ctscreener.streams import open_streams
from ctscreener.whole_file import left_behind

ENGINE = "ctscreener"
PREFIX = "ctscreener-pipe-"
SCAN, RESULT = "scan.nrrd", "result"
DONE, REFUSED, STOPPED = 0, 2, 130
GRACE_SECONDS = 5.0
"""How long a screening may take to clear up after it was asked to end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Screen what comes in.

    Arguments:
        argv: Options of `ctscreener screen`, and before them `--worker MODULE` for another module
            than the engine; those of this process by default.

    Returns:
        The exit status: 0 done, 2 refused, 130 stopped.
    """
    options = list(sys.argv[1:] if argv is None else argv)
    worker = ENGINE
    if options[:1] == ["--worker"]:
        worker, options = options[1], options[2:]
    open_streams()
    _stop_on_signals()
    with _own_stdout() as out, _folder() as folder:
        try:
            header = read_line(sys.stdin.buffer)
            if header is None or header.get("event") != "file":
                raise InputError("stream.damaged", "Expected a scan on stdin, found none.", "")
            receive_file(sys.stdin.buffer, header, folder / SCAN)
            return _screen(folder, [sys.executable, "-m", worker], options, out)
        except InputError as error:
            parts = {"code": error.code, "message": error.message, "action": error.action}
            out.write(json.dumps({"event": "error", **parts, "scan": None}).encode() + b"\n")
            out.flush()
            return REFUSED
        except (KeyboardInterrupt, BrokenPipeError):
            return STOPPED


def _screen(folder: Path, command: list[str], options: list[str], out: BinaryIO) -> int:
    """Run the engine, pass its events on, and send its files before its last word."""
    line = [*command, "screen", SCAN, "--out", RESULT, "--events", *options]
    child = subprocess.Popen(line, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    threading.Thread(target=_end_with, args=(sys.stdin.fileno(), child), daemon=True).start()
    assert child.stdout is not None, "it is a pipe"
    try:
        last = _passed_on(child.stdout, out)
        status = child.wait()
        if last is not None:
            for name in RESULTS:
                if (folder / RESULT / name).is_file():
                    send_file(out, folder / RESULT / name)
            out.write(last)
            out.flush()
        return status
    finally:
        _end(child)


def _passed_on(events: IO[bytes], out: BinaryIO) -> bytes | None:
    """Pass events on; returns that of the result, which has to wait."""
    last = None
    for line in events:
        if json.loads(line).get("event") == "result":
            last = line
        else:
            out.write(line)
            out.flush()
    return last


def _end_with(stdin: int, child: "subprocess.Popen[bytes]") -> None:
    """End the engine once nobody waits for it any more."""
    # Not by Python's own stream: its lock, held in a thread, would abort the end of the process.
    while os.read(stdin, 1):
        pass
    child.terminate()


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the engine if it still runs, by force if need be."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _stop_on_signals() -> None:
    """Treat a request to end as Ctrl-C, so that the folder is removed."""

    def stop(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)


@contextlib.contextmanager
def _own_stdout() -> Iterator[BinaryIO]:
    """Keep stdout for ourselves: whatever else prints, prints to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    with open(kept, "wb") as out:
        yield out


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Lend a folder that its owner alone may enter, and remove it, with those of killed runs."""
    for left in left_behind(Path(tempfile.gettempdir()), PREFIX):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{owner.mark()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
