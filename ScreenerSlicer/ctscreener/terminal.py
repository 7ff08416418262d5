"""What a run tells a person: a bar, the findings as a table, and one line for what went wrong."""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO, final

from ctscreener.reporter import Reporter
from ctscreener.result_text import show_text
from ctscreener.streams import say

Show = Callable[[TextIO, str, Path, Mapping[str, Any], bool], None]
"""Shows a result: called with a stream and what `Reporter.result` is given."""


@final
class Terminal(Reporter):
    """A bar with the time left on `err`, findings on `out`.

    Where `err` is no terminal, such as a log file, plain lines take the place of the bar.

    Arguments:
        out: Takes the findings.
        err: Takes the progress and the errors.
        clock: Seconds, from any origin.
        show: Shows results on `out`; as text by default.
    """

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        clock: Callable[[], float] = time.monotonic,
        show: Show | None = None,
    ) -> None:
        self._out = out
        self._err = err
        self._clock = clock
        self._show = show or show_text
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
        """Print the findings, and where the files are."""
        self._close()
        self._show(self._out, scan, folder, record, reused)

    def error(self, code: str, message: str, action: str, scan: str | None) -> None:
        """Print one line."""
        self._close()
        where = f"{scan}: " if scan else ""
        say(self._err, f"ctscreener: {where}{message} {action} [{code}]")


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
