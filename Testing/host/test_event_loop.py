"""Whether threads run while the host waits: as with PySide, or as in Slicer, where they starve."""

import threading
import time

from Testing.host.application import Application

SECONDS = 0.6


def turns_of_a_thread(holds_gil: bool) -> int:
    """How often a thread gets Python's lock while the host waits."""
    turns: list[int] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            # Gives the lock up and takes it again, as every piece of a file does.
            time.sleep(0)
            turns.append(1)

    with Application(views=False, holds_gil=holds_gil) as host:
        thread = threading.Thread(target=work)
        thread.start()
        end = time.monotonic() + SECONDS
        host.wait(lambda: time.monotonic() > end)
        got = len(turns)
        stop.set()
        thread.join()
    return got


def test_threads_starve_where_the_lock_is_kept() -> None:
    assert turns_of_a_thread(holds_gil=True) < turns_of_a_thread(holds_gil=False) / 2
