"""Hearing of an end: signals are noted and acted upon between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def hear_stop(heard: list[int]) -> Iterator[None]:
    """Note the signals that ask for an end instead of dying of them, for as long as it lasts.

    Arguments:
        heard: Receives the numbers of the signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
