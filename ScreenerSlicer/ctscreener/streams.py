"""The standard streams: open, and with nothing on them that a terminal would obey."""

import os
import sys
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
