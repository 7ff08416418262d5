"""Signals that ask for an end are heard, not died of, and only for as long as it lasts."""

import os
import signal
import threading

from training.loop.stopping import hear_stop


def test_signals_are_heard_in_the_block_and_act_as_before_after_it() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    heard: list[int] = []
    with hear_stop(heard):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
    assert heard == [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_signals_act_as_before_after_an_error_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with hear_stop([]):
            raise ZeroDivisionError
    except ZeroDivisionError:
        assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_leaves_them_alone() -> None:
    before, during = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with hear_stop([]):
            during.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen, name=f"listener of {os.getpid()}")
    thread.start()
    thread.join()
    assert during == [before]
