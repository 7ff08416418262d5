"""The standard streams: open, and with nothing on them that a terminal would obey."""

import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

from ctscreener.texts import plain


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


def until_reader_goes(run: Callable[[], int], gone: int) -> int:
    """Run a command; end it without a word where whoever read what it prints has gone.

    Arguments:
        run: The command; gives its exit status, or raises SystemExit, as for `--help`.
        gone: The exit status where the reader has gone, as `head` goes after ten lines.

    Returns:
        The exit status.
    """
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        # Python's last flush must not meet the broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return gone


def _reader_is_gone() -> bool:
    """Whether it was this pipe that broke, and not one of our own to another process."""
    if not hasattr(select, "poll"):
        return False
    watched = select.poll()
    watched.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))
