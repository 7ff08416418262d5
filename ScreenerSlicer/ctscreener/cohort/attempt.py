"""An attempt at one item of work on a worker: what comes of it, whatever that is."""

import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctscreener.cohort.tries import HUNG, MOST, Tries
from ctscreener.errors import InputError

logger = logging.getLogger(__name__)

_one_at_a_time = threading.Lock()

Work = Callable[[Any], Any]
"""What a worker does with an item; it and its items pass from process to process."""


@dataclass(frozen=True)
class Answer:
    """What came of an item.

    Arguments:
        name: What the item is called.
        value: What the work returned.
        refused: Why the item cannot be used.
        fault: The traceback of a fault of ours.
        lost: How many workers had ended at it before.
    """

    name: str
    value: Any = None
    refused: InputError | None = None
    fault: str = ""
    lost: int = 0


@dataclass(frozen=True)
class Limits:
    """What an item may cost.

    Arguments:
        seconds: How long one attempt may take; the worker is ended then.
        tries: Files of how often its worker has ended.
    """

    seconds: float
    tries: Tries


def attempt(work: Work, name: str, item: Any, limits: Limits) -> Answer:  # noqa: ANN401
    """Work on an item, unless too many workers have ended at it.

    Arguments:
        work: What to do.
        name: What the item is called.
        item: The item.
        limits: What it may cost.
    """
    # Of a worker with several threads, too: readers and networks are those of its process.
    with _one_at_a_time:
        return _attempt(work, name, item, limits)


def _attempt(work: Work, name: str, item: Any, limits: Limits) -> Answer:  # noqa: ANN401
    lost = limits.tries.lost(name)
    if len(lost) >= MOST:
        # The files stay until the answer has arrived: it may be lost with this worker, too.
        return Answer(name, refused=_set_aside(name, lost, limits.seconds), lost=len(lost))
    with limits.tries.begun(name) as file, _ended_after(limits.seconds, file):
        try:
            return Answer(name, work(item), lost=len(lost))
        except InputError as error:
            return Answer(name, refused=error, lost=len(lost))
        # Whatever else an item meets is a fault of ours: it is told with its traceback, counted,
        # and must not end the worker that others wait for.
        except Exception:
            logger.exception("A fault of ours:")
            return Answer(name, fault=traceback.format_exc(), lost=len(lost))


SET_ASIDE = ("scan.hangs", "scan.ends_worker")
"""Codes of items that are tried no more."""


def _set_aside(name: str, lost: list[str], seconds: float) -> InputError:
    """Say what is known of workers that did not come back."""
    if lost[-1] == HUNG:
        return InputError(
            SET_ASIDE[0],
            f"Expected an end of {name} within {seconds / 60:.0f} minutes, found none in "
            f"{len(lost)} tries.",
            "Check the file and the disk that it lies on, or raise --minutes.",
        )
    return InputError(
        SET_ASIDE[1],
        f"Expected a worker to outlive {name}, found that {len(lost)} of them ended at it, as "
        "they do where memory runs out.",
        "Give the workers more memory (--memory), or leave it out.",
    )


@contextmanager
def _ended_after(seconds: float, file: Path) -> Iterator[None]:
    """End this process when a block takes too long: a thread cannot be stopped, and must not stay."""

    def end() -> None:
        file.write_text(HUNG, encoding="ascii")
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
