"""Reporters: what a run tells a person at a terminal, or the program that started it."""

import contextlib
import json
import os
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, final

from ctscreener.errors import InputError
from ctscreener.rarity_text import counted_up_to, rarity_text
from ctscreener.texts import plain


class Reporter(ABC):
    """Whoever hears how a run goes."""

    @abstractmethod
    def begin(self, name: str, number: int, count: int) -> None:
        """Say that scan `number` of `count` begins, counted from 1."""

    @abstractmethod
    def progress(self, stage: str, done: int, total: int) -> None:
        """Say where a stage is: this method is a `ctscreener.progress.Progress`."""

    @abstractmethod
    def notice(self, code: str, message: str) -> None:
        """Say what is not done as it was asked for: this method is a `fallback.Notice`."""

    @abstractmethod
    def result(self, scan: str, folder: Path, record: Mapping[str, Any], reused: bool) -> None:
        """Say what was found.

        Arguments:
            scan: What the scan is called.
            folder: Where the files of this scan are.
            record: The contents of `findings.json`.
            reused: Whether an earlier run had already done this scan.
        """

    @abstractmethod
    def error(self, code: str, message: str, action: str, scan: str | None) -> None:
        """Say what went wrong: its stable name, what it is, what to do, and with which scan."""

    def refused(self, error: InputError, scan: str | None = None) -> None:
        """Say that something cannot be used."""
        self.error(error.code, error.message, error.action, scan)

    def fault(self, fault: Exception, scan: str | None = None) -> None:
        """Say that Screener itself failed; whoever caught the fault logs its traceback."""
        what = " ".join(f"{type(fault).__name__}: {fault}".split())
        self.error(
            "internal",
            f"This is a fault of Screener, not of your scan: {what}.",
            "Please report it with the traceback.",
            scan,
        )


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


@final
class Terminal(Reporter):
    """A bar with the time left on `err`, findings on `out`.

    Where `err` is no terminal, such as a log file, plain lines take the place of the bar.

    Arguments:
        out: Takes the findings.
        err: Takes the progress and the errors.
        clock: Seconds, from any origin.
    """

    def __init__(
        self, out: TextIO, err: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._err = err
        self._clock = clock
        self._stage = ""
        self._began = self._shown = 0.0
        self._open = False

    def begin(self, name: str, number: int, count: int) -> None:
        """Print the name of the scan, when there are several."""
        if count > 1:
            self._close()
            say(self._err, f"[{number}/{count}] {name}")

    def progress(self, stage: str, done: int, total: int) -> None:
        """Move the bar."""
        now = self._clock()
        live = self._err.isatty()
        if stage != self._stage:
            self._close()
            self._stage, self._began = stage, now
            self._shown = float("-inf") if live else now
        due = now - self._shown >= (0.1 if live else 10.0)
        if not due and done < total:
            return
        self._shown = now
        line = progress_line(stage, done, total, now - self._began)
        if live:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + line[:width].ljust(width), end="", file=self._err, flush=True)
            self._open = True
        else:
            print(line, file=self._err, flush=True)
        if done >= total:
            self._close()

    def _close(self) -> None:
        if self._open:
            print(file=self._err, flush=True)
        self._open = False
        self._stage = ""

    def notice(self, code: str, message: str) -> None:
        """Print one line; the bar of the stage begins anew."""
        self._close()
        say(self._err, f"ctscreener: {message} [{code}]")

    def result(self, scan: str, folder: Path, record: Mapping[str, Any], reused: bool) -> None:
        """Print the findings as a table, and where the files are."""
        self._close()
        again = " (done before, kept)" if reused else ""
        count = len(record["findings"])
        counted = counted_up_to(record.get("provenance", {}))
        # Records of before the cap was told hold no number of all.
        found = max(count, int(record.get("found", count)))
        of_all = f"{count} of {found}" if found > count else f"{count}"
        lines = [
            f"{scan}: {of_all} finding{'s' * (found != 1)}{again}",
            *table([_row(finding, counted) for finding in record["findings"]]),
            f"Picture: {folder / 'overview.png'}",
            f"Map:     {folder / 'anomaly.nrrd'}",
            record["notice"],
        ]
        say(self._out, *lines)

    def error(self, code: str, message: str, action: str, scan: str | None) -> None:
        """Print one line."""
        self._close()
        where = f"{scan}: " if scan else ""
        say(self._err, f"ctscreener: {where}{message} {action} [{code}]")


def say(stream: TextIO, *lines: str) -> None:
    """Print lines in which nothing is left that a terminal would obey, or cannot show.

    Arguments:
        stream: Where to.
        lines: Each on a line of its own.
    """
    text = "\n".join(map(plain, lines))
    coding = stream.encoding or "utf-8"
    shown = text.encode(coding, "backslashreplace").decode(coding)
    print(shown, file=stream, flush=True)


def progress_line(stage: str, done: int, total: int, seconds: float) -> str:
    """Draw a stage as one line.

    Arguments:
        stage: What is being done.
        done: Steps finished.
        total: Steps of this stage.
        seconds: How long the stage has run.

    Returns:
        The line, plain ASCII, without its end.

    Example:
        >>> progress_line("scoring", 30, 120, 10.0)
        'scoring      [#####---------------]  25%  30 s left'
        >>> progress_line("scoring", 120, 120, 75.0)
        'scoring      [####################] 100%  1:15 min'
    """
    part = done / total if total else 1.0
    bar = "#" * int(20 * part)
    line = f"{stage:<12} [{bar:-<20}] {int(100 * part):>3}%"
    if part >= 1:
        return f"{line}  {duration(seconds)}"
    return f"{line}  {duration(seconds / part - seconds)} left" if done else line


def duration(seconds: float) -> str:
    """Write seconds as a person says them.

    Example:
        >>> duration(8.4), duration(75), duration(3700)
        ('8 s', '1:15 min', '1:01:40 h')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02} h"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lay rows of single values out in columns; text to the left, numbers to the right.

    Example:
        >>> table([{"rank": 1, "note": "a"}, {"rank": 12, "note": "bc"}])
        ['rank  note', '   1  a', '  12  bc']
    """
    if not rows:
        return []
    columns = []
    for key in rows[0]:
        cells = [str(key), *(_cell(row[key]) for row in rows)]
        width = max(map(len, cells))
        numbers = not isinstance(rows[0][key], str)
        columns.append([c.rjust(width) if numbers else c.ljust(width) for c in cells])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def _row(finding: Mapping[str, Any], counted: float) -> dict[str, object]:
    right, anterior, superior = finding["peak_ras"]
    return {
        "rank": finding["rank"],
        # As wide as the name of its column, so that points stand below each other.
        "rarity": f"{rarity_text(finding['peak_rarity'], counted, digits=2):>6}",
        "volume ml": finding["volume_ml"],
        "diameter mm": finding["diameter_mm"],
        "mean HU": finding["mean_hu"],
        "right mm": right,
        "anterior mm": anterior,
        "superior mm": superior,
    }


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def open_streams() -> None:
    """Put an empty file in the place of a standard stream that was closed before we began.

    Python has no stream there then, and the first file that is opened would take its number: what
    libraries print to it would end up in that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            empty = os.open(os.devnull, os.O_RDWR)
            if empty != number:
                os.dup2(empty, number)
                os.close(empty)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


@contextlib.contextmanager
def reporter(events: bool) -> Iterator[Reporter]:
    """Choose who hears, and keep anything else that prints out of the events.

    Arguments:
        events: Send JSON lines on stdout. Whatever prints to stdout inside this block, compiled
            libraries included, goes to stderr instead.

    Yields:
        The reporter.
    """
    if not events:
        yield Terminal(sys.stdout, sys.stderr)
        return
    sys.stdout.flush()
    kept = os.dup(1)
    stream = open(kept, "w", encoding="utf-8")  # noqa: SIM115 (closed after stdout is back)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield Events(stream)
    finally:
        os.dup2(kept, 1)
        with contextlib.suppress(OSError):
            stream.close()
