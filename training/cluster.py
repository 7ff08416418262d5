"""Stages whose scans are shared out over a cluster: the same work, by `ctscreener.cohort`."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ctscreener.errors import InputError
from ctscreener.terminal import Terminal

T = TypeVar("T")
SECONDS = 3600.0
"""How long one scan may take."""
TRIES = ".screener-tries"


@dataclass(frozen=True)
class Within:
    """Work in a folder, so that relative paths mean there what they mean here.

    Arguments:
        work: What to do.
        folder: Where.
    """

    work: Callable[[Any], Any]
    folder: Path

    def __call__(self, item: Any) -> Any:  # noqa: ANN401
        """Do it."""
        os.chdir(self.folder)
        return self.work(item)


def over_cluster(
    scheduler: str,
    workers: int,
    work: Callable[[T], Any],
    items: Mapping[str, T],
    folder: Path,
) -> Iterator[tuple[T, Any | InputError]]:
    """Work on items by a cluster, and give what came of each as it comes.

    Arguments:
        scheduler: `local`, `slurm` or an address, see `ctscreener.cohort.cluster`.
        workers: As many as there may be; 0 for its own choice.
        work: What to do with an item, on a machine that sees the same disks.
        items: By a name for each.
        folder: Where the results go; takes the files of tries, too.

    Yields:
        The item, and what the work returned or why the item cannot be used.

    Raises:
        InputError: There are no workers, or nothing more can be written.
        RuntimeError: A fault of ours; it is not kept as if it were the scan's.
    """
    try:
        from ctscreener.cohort.attempt import Limits
        from ctscreener.cohort.cluster import ClusterSettings, connected
        from ctscreener.cohort.crowd import Crowd
        from ctscreener.cohort.tries import Tries
    except ModuleNotFoundError as error:
        raise InputError(
            "cohort.libraries",
            f"Expected the libraries of a cohort, found no {error.name}.",
            "pip install 'ctscreener[cohort]'.",
        ) from error

    report = Terminal(sys.stdout, sys.stderr)
    with connected(ClusterSettings(scheduler, workers)) as cluster:
        report.notice("cohort.workers", f"{cluster.words}.")
        limits = Limits(SECONDS, Tries(folder.absolute() / TRIES))
        here = Within(work, Path.cwd())
        for answer in Crowd(cluster, limits, report).answers(here, items.items()):
            if answer.fault:
                raise RuntimeError(answer.fault)
            yield items[answer.name], answer.refused or answer.value
