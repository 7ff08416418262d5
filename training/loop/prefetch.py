"""Batches that are loaded in the background, in their order."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Raw = TypeVar("Raw")


@contextlib.contextmanager
def prefetch(
    load: Callable[[int], Raw], indices: Iterable[int], workers: int
) -> Iterator[Iterator[Raw]]:
    """Load the next batches while one is worked on.

    Arguments:
        load: Makes the batch of an index; called in a thread.
        indices: Which batches, in this order.
        workers: Threads; twice as many batches wait.

    Example:
        >>> with prefetch(lambda k: k * k, range(5), 2) as batches:
        ...     list(batches)
        [0, 1, 4, 9, 16]
    """
    workers = max(1, workers)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="load")

    def batches() -> Iterator[Raw]:
        waiting: deque[Future[Raw]] = deque()
        for index in indices:
            waiting.append(pool.submit(load, index))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield batches()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
