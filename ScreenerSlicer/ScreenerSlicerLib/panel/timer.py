"""A timer that calls a function."""

from collections.abc import Callable

import qt


def timer(milliseconds: int, function: Callable[[], None]) -> qt.QTimer:
    """Make a timer that is not started yet."""
    made = qt.QTimer()
    made.setInterval(milliseconds)
    made.connect("timeout()", function)
    return made
