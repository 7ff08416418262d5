"""Processes that share out work, and end with the one that has started them."""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import torch

from ctscreener.errors import InputError


def check_workers(workers: int, fewest: int = 1) -> None:
    """Refuse fewer processes than there can be.

    Arguments:
        workers: What `--workers` asks for.
        fewest: 0 where that means one on each core.

    Raises:
        InputError: `workers.few`.
    """
    if workers < fewest:
        raise InputError(
            "workers.few",
            f"Expected --workers of {fewest} or more, found {workers}.",
            "Correct the option.",
        )


@contextmanager
def pool(workers: int, threads: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Start processes; on Ctrl-C they end at once and without a word.

    Arguments:
        workers: How many.
        threads: That torch may use in each; its own choice when None.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (threads,)) as made:
        try:
            yield made
        except KeyboardInterrupt:
            made.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _begin(threads: int | None) -> None:
    """Make a worker ready: Ctrl-C reaches it too, and the one that started it tells of it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if threads is not None:
        torch.set_num_threads(threads)
