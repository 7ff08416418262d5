"""A crowd of workers: items go out, answers come back, and nothing is lost on the way."""

import asyncio
import hashlib
import itertools
import queue
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any, final

from distributed import Future

from ctscreener.cohort.attempt import SET_ASIDE, Answer, Limits, Work, attempt
from ctscreener.cohort.cluster import Cluster
from ctscreener.errors import InputError
from ctscreener.reporter import Reporter

POLL_SECONDS = 1.0
"""How often we look whether there is still somebody who works."""
WAITING_SECONDS = 60.0
"""Without any worker for so long, we say so."""
AHEAD = 4
"""Items that the scheduler holds for each worker: none waits for us, and its memory is bounded."""
FEWEST = 32
"""Items that it holds at least: so many that a cluster which adapts sees that there is work."""

Item = tuple[str, Any]
"""What an item is called, and the item."""


@final
class Crowd:
    """Shares out work over a cluster, with a new try wherever a worker or a scheduler was lost.

    Arguments:
        cluster: The workers.
        limits: What an item may cost.
        report: Hears of what was lost.
    """

    def __init__(self, cluster: Cluster, limits: Limits, report: Reporter) -> None:
        self._cluster, self._limits, self._report = cluster, limits, report
        self._ready: queue.Queue[Future] = queue.Queue()
        self._flying: dict[str, tuple[Future, Item]] = {}
        self._number = itertools.count()
        self._alone = 0.0

    def answers(self, work: Work, items: Iterable[Item]) -> Iterator[Answer]:
        """Work on items, and give each answer as it comes.

        Arguments:
            work: What to do with an item.
            items: Names, which differ, and items.

        Raises:
            InputError: `output.*` where nothing more can be written, `cohort.scheduler` where the
                scheduler stays away, `cohort.workers` where workers cannot do this work.
        """
        self._limits.tries.forget()
        left = deque(items)
        try:
            while left or self._flying:
                self._fill(work, left)
                try:
                    future = self._ready.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    self._look_for_workers()
                    continue
                yield from self._landed(future, left)
        finally:
            self._leave()
        self._limits.tries.clear()

    def _fill(self, work: Work, left: deque[Item]) -> None:
        """Hand out as much as the workers there will soon need."""
        if len(self._flying) * 2 > FEWEST and not self._ready.empty():
            return
        self._cluster.regain(self._report)
        most = max(FEWEST, AHEAD * self._cluster.count())
        while left and len(self._flying) < most:
            name, item = left.popleft()
            digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
            key = f"attempt-{digest[:16]}-{next(self._number)}-{self._cluster.session}"
            future = self._cluster.client.submit(
                attempt, work, name, item, self._limits, key=key, pure=False
            )
            self._flying[key] = future, (name, item)
            future.add_done_callback(self._ready.put)

    def _landed(self, future: Future, left: deque[Item]) -> Iterator[Answer]:
        """Take an answer, or hand the item out again."""
        _, item = self._flying.pop(str(future.key), (None, None))
        if item is None:
            return
        outcome = _fetched(future)
        if isinstance(outcome, Answer):
            yield self._heard(outcome, item)
            return
        left.appendleft(item)
        if outcome is not None:
            self._explain(outcome)
            return
        # Its scheduler has gone: whoever worked on it is not to blame.
        self._limits.tries.forget_one(item[0])
        self._cluster.regain(self._report)

    def _heard(self, answer: Answer, item: Item) -> Answer:
        """Say what was lost on the way to an answer; stop where nothing can be written."""
        if answer.refused is not None and answer.refused.code.startswith("output."):
            raise answer.refused
        self._limits.tries.forget_one(item[0])
        aside = answer.refused is not None and answer.refused.code in SET_ASIDE
        if answer.lost and not aside:
            self._report.notice(
                "cohort.worker_lost",
                f"{item[0]}: the worker at it ended; it was tried again.",
            )
        return answer

    def _explain(self, error: Exception) -> None:
        """Tell a worker's end, after which the item is tried again, from what no try will mend."""
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return
        raise InputError(
            "cohort.workers",
            "Expected workers with this Screener, found one that cannot do its work: "
            f"{type(error).__name__}: {error}.",
            "Install the same version of Screener for all workers.",
        )

    def _look_for_workers(self) -> None:
        """Say it once when there has been no worker for a while."""
        if self._cluster.count():
            self._alone = 0.0
            return
        now = time.monotonic()
        if not self._alone:
            self._alone = now
        elif 0 < self._alone < now - WAITING_SECONDS:
            self._alone = float("inf")
            self._report.notice(
                "cohort.no_workers", "There is no worker; waiting for one. Ctrl-C stops it."
            )

    def _leave(self) -> None:
        """Let go of what is still on its way."""
        flying = [future for future, _ in self._flying.values()]
        self._flying.clear()
        if flying and self._cluster.client.status == "running":
            self._cluster.client.cancel(flying)


def _fetched(future: Future) -> Answer | Exception | None:
    """The answer of an attempt, or why there is none; None where its scheduler has gone.

    It may go while the answer is fetched, too.
    """
    try:
        if future.status == "finished":
            answer: Any = future.result()
            return answer
        if future.status == "error":
            error: Any = future.exception()
            return error
    except (OSError, TimeoutError, CancelledError, asyncio.CancelledError):
        return None
    return None
