"""Whether threads stand still while the host waits as Slicer does."""

import threading
import time
from itertools import pairwise

from Testing.host.application import Application

SECONDS = 1.0
LONG = 0.05
"""A thread that has to wait so long for Python's lock stands still for a user."""


def share_of_waiting(holds_gil: bool) -> float:
    """How much of the time a thread waits long for Python's lock while the host waits."""
    turns: list[float] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            # Gives the lock up and takes it again, as every piece of a file does.
            time.sleep(0)
            turns.append(time.monotonic())

    with Application(views=False, holds_gil=holds_gil) as host:
        thread = threading.Thread(target=work)
        thread.start()
        end = time.monotonic() + SECONDS
        host.wait(lambda: time.monotonic() > end)
        stop.set()
        thread.join()
    gaps = [after - before for before, after in pairwise(turns)]
    return sum(gap for gap in gaps if gap > LONG) / sum(gaps)


def test_threads_stand_still_where_the_lock_is_kept() -> None:
    assert share_of_waiting(holds_gil=True) > 0.5
