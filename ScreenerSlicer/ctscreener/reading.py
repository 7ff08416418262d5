"""Reading in a process of its own: a file that crashes or holds its reader costs a scan, not the run.

Libraries that read images have ended whole batches by one damaged header. What the process has read
comes through a pipe, slice by slice, as int16 where that loses nothing: half of the memory.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Self, final

import numpy as np

from ctscreener.errors import InputError
from ctscreener.scan import Scan

READ_SECONDS = 1200.0
"""How long one scan may take to be read: twenty minutes, for slow disks on slow networks."""
END_SECONDS = 5.0
SLAB = 32
"""Slices looked at together."""


@final
class Reader:
    """Reads scans in another process, which is started anew after one that has ended it.

    Arguments:
        seconds: How long one scan may take; `READ_SECONDS` when None.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = READ_SECONDS if seconds is None else seconds
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._ready = False

    def __enter__(self) -> Self:
        """Start the process, which gets ready while others work."""
        self._connected()
        return self

    def __exit__(self, *_error: object) -> None:
        """End the process."""
        self.close()

    def read(self, path: Path, series: str | None = None) -> Scan:
        """Read a scan as `ctscreener.files.read_scan` does.

        Arguments:
            path: The scan.
            series: SeriesInstanceUID of the one to read, where a folder holds several.

        Returns:
            The scan; its values are int16 where all of them are whole, else float32.

        Raises:
            InputError: As `read_scan`, and `scan.crashes`, `scan.hangs` or `scan.memory`.
            MemoryError: The scan does not fit into memory.
            RuntimeError: The process cannot be started, or has failed by a fault of ours.
        """
        pipe = self._connected()
        try:
            pipe.send((os.fspath(path), series))
            answer = self._received(pipe, path)
        except (EOFError, OSError) as error:
            raise self._ended(path) from error
        except BaseException:
            # What is still in the pipe belongs to this scan: the next begins with a new process.
            self.close()
            raise
        if isinstance(answer, Scan):
            return answer
        raise answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join(END_SECONDS)
        self._process = self._pipe = None
        self._ready = False

    def _connected(self) -> Connection:
        """The pipe to the process; it is started where there is none."""
        if self._process is not None and not self._process.is_alive():
            # Ended between two scans, by whatever: no scan is to blame.
            self.close()
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            # Its own end alone: with ours it would not notice that we have gone.
            self._process = process = context.Process(target=serve, args=(other,), daemon=True)
            process.start()
            other.close()
        return self._pipe

    def _received(self, pipe: Connection, path: Path) -> Scan | InputError | MemoryError:
        """Wait for an answer and take it over: the scan, or why there is none."""
        until = time.monotonic() + self._seconds
        if not self._ready:
            _next(pipe, until, path)
            self._ready = True
        kind, *parts = _next(pipe, until, path)
        if kind == "refused":
            return InputError(*parts)
        if kind == "memory":
            return MemoryError()
        shape, dtype, affine = parts
        hu = np.empty(shape, dtype)
        for one in hu:
            if not pipe.poll(max(0.0, until - time.monotonic())):
                raise _hangs(path, self._seconds)
            pipe.recv_bytes_into(one.data.cast("B"))
        return Scan(hu, affine)

    def _ended(self, path: Path) -> Exception:
        """Say how the process has ended while it read a scan."""
        process = self._process
        assert process is not None, "it was asked a moment ago"
        process.join(END_SECONDS)
        code, ready = process.exitcode or 0, self._ready
        self.close()
        if not ready:
            return RuntimeError(f"the process that reads scans ended at its start, with {code}")
        if code == -getattr(signal, "SIGKILL", 9):
            return InputError(
                "scan.memory",
                f"Expected a scan that fits into memory, found that the system ended the process "
                f"that read {path.name}, as it does where memory runs out.",
                "Use a machine with more memory.",
            )
        if code == 1:
            # Python's own end of an exception that nobody expected, told on stderr.
            return RuntimeError(f"reading {path.name} failed")
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return InputError(
            "scan.crashes",
            f"Expected an image that can be read, found that {path.name} crashes its reader "
            f"({how}).",
            "The file is damaged: copy or convert it again.",
        )


def _next(pipe: Connection, until: float, path: Path) -> tuple[Any, ...]:
    """Wait for the next message."""
    began = time.monotonic()
    if not pipe.poll(until - began):
        raise _hangs(path, until - began)
    return pipe.recv()


def _hangs(path: Path, seconds: float) -> InputError:
    return InputError(
        "scan.hangs",
        f"Expected to read {path.name} within {seconds / 60:.0f} minutes, found no end of it.",
        "Check the disk that it lies on, or copy or convert it again.",
    )


def serve(pipe: Connection) -> None:
    """Read one scan after another for the process at the other end, as long as that is there.

    Arguments:
        pipe: Brings a path and a series; takes what was read, or why it was not.
    """
    # Ctrl-C reaches both: the other one tells of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ctscreener.files import read_scan

    pipe.send("ready")
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            path, series = pipe.recv()
            _answer(pipe, lambda path=path, series=series: read_scan(Path(path), series))


def _answer(pipe: Connection, read: Callable[[], Scan]) -> None:
    """Read one scan and send it."""
    try:
        scan = read()
        dtype = np.dtype(np.int16 if is_whole(scan.hu) else np.float32)
    except InputError as error:
        pipe.send(("refused", error.code, error.message, error.action))
    except MemoryError:
        pipe.send(("memory",))
    except OSError as error:
        found = f"Expected a file that can be read, found: {error}."
        pipe.send(("refused", "scan.unreadable", found, "Check the disk and its permissions."))
    else:
        pipe.send(("scan", scan.shape, dtype.str, scan.affine))
        for one in scan.hu:
            pipe.send_bytes(np.ascontiguousarray(one, dtype).data.cast("B"))


def is_whole(values: np.ndarray) -> bool:
    """Tell whether int16 holds all values without loss.

    Example:
        >>> is_whole(np.array([[-1024.0, 3071.0]])), is_whole(np.array([[0.5]]))
        (True, False)
    """
    if values.dtype == np.int16:
        return True
    for start in range(0, len(values), SLAB):
        slab = values[start : start + SLAB]
        if not (slab.min() >= -(2**15) and slab.max() < 2**15):
            return False
        if not np.array_equal(slab.astype(np.int16), slab):
            return False
    return True
