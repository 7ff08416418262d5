"""Screening a cohort: what is done is kept, the rest goes to the crowd, and all into one table."""

import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctscreener.cohort.asked import Asked, wanted
from ctscreener.cohort.attempt import Answer, Limits, Work
from ctscreener.cohort.cluster import Cluster, ClusterSettings, connected
from ctscreener.cohort.crowd import Crowd
from ctscreener.cohort.index import Entry
from ctscreener.cohort.one_scan import Screening, standing_row
from ctscreener.cohort.place import Place
from ctscreener.cohort.rows import failed_row
from ctscreener.cohort.table import write_table
from ctscreener.cohort.tries import Tries
from ctscreener.errors import InputError
from ctscreener.lock import held
from ctscreener.outputs import check_writable
from ctscreener.settings import read_json, write_json
from ctscreener.whole_file import make_folder

if TYPE_CHECKING:
    from ctscreener.reporter import Reporter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortSettings:
    """How a cohort is screened."""

    asked: Asked
    """What is asked of every scan."""
    run: str
    """What this run is called; a second model needs another name."""
    seconds: float = 3600.0
    """How long one scan may take."""
    retry: bool = False
    """Try scans again that have failed and have not changed since."""


@dataclass
class Count:
    """What came of the scans of an index."""

    kept: int = 0
    kept_failed: int = 0
    done: int = 0
    failed: int = 0
    faults: int = 0


def screen_cohort(
    entries: Sequence[Entry],
    place: Place,
    settings: CohortSettings,
    workers: ClusterSettings,
    report: "Reporter",
) -> Count:
    """Screen all scans of an index that an earlier run has not, and write the table.

    Arguments:
        entries: The index.
        place: Where the results go.
        settings: How.
        workers: Who.
        report: Hears how it goes.

    Returns:
        What came of the scans.

    Raises:
        InputError: The request differs from that of the run before, nothing can be written, or
            there are no workers.
    """
    settings.asked.check()
    check_writable(place.folder)
    with held(place.folder), connected(workers) as cluster:
        report.notice("cohort.workers", f"{cluster.words}.")
        work = _begun(place, settings, cluster, report)
        count = shared_out(entries, place, settings, work, cluster, report)
        write_table(place)
    return count


def shared_out(
    entries: Sequence[Entry],
    place: Place,
    settings: CohortSettings,
    work: Work,
    cluster: Cluster,
    report: "Reporter",
) -> Count:
    """Share out the scans that are left, and note those that fail.

    Arguments:
        entries: The index.
        place: Where the results go.
        settings: How.
        work: What a worker does with an entry.
        cluster: The workers.
        report: Hears how it goes.
    """
    for folder in (place.scans(settings.run), place.failed(settings.run)):
        make_folder(folder)
    ledger = _Ledger(place, settings.run)
    left, count = [], Count()
    for number, entry in enumerate(entries):
        report.progress("looking for earlier results", number, len(entries))
        if ledger.is_done(entry, settings):
            count.kept += 1
        elif ledger.has_failed(entry) and not settings.retry:
            count.kept_failed += 1
        else:
            left.append(entry)
    report.progress("looking for earlier results", len(entries), len(entries))
    limits = Limits(settings.seconds, Tries(place.tries(settings.run)))
    crowd = Crowd(cluster, limits, report)
    by_id = {entry.id: entry for entry in left}
    for answer in crowd.answers(work, by_id.items()):
        ledger.note(by_id[answer.name], answer, count, report)
        report.progress("screening", count.done + count.failed, len(left))
    return count


class _Ledger:
    """What is known of scans that failed, a file each, and of those that stand."""

    def __init__(self, place: Place, run: str) -> None:
        self._place, self._run = place, run

    def is_done(self, entry: Entry, settings: CohortSettings) -> bool:
        """Whether a scan has a result."""
        folder = self._place.scans(self._run) / entry.folder
        return standing_row(folder, entry, settings.asked.full) is not None

    def has_failed(self, entry: Entry) -> bool:
        """Whether it is known why a scan has no result, and it has not changed since."""
        file = self._failed(entry)
        return file.is_file() and read_json(file).get("stamp") == entry.stamp()

    def note(self, entry: Entry, answer: Answer, count: Count, report: "Reporter") -> None:
        """Take an answer."""
        if answer.refused is not None:
            error = answer.refused
            report.refused(error, entry.id)
        elif answer.fault:
            error = _fault(answer.fault, entry, report)
            count.faults += 1
        else:
            count.done += 1
            self._failed(entry).unlink(missing_ok=True)
            return
        count.failed += 1
        facts = {**asdict(entry), "path": str(entry.path), "stamp": entry.stamp()}
        row = failed_row(self._run, facts, error.code, error.message, error.action)
        write_json(self._failed(entry), row)

    def _failed(self, entry: Entry) -> Path:
        return self._place.failed(self._run) / f"{entry.folder}.json"


def _fault(text: str, entry: Entry, report: "Reporter") -> InputError:
    """Tell of a fault of ours that a worker met."""
    last = text.strip().splitlines()[-1]
    report.fault(RuntimeError(last), entry.id)
    logger.error("Traceback of the fault above:\n%s", text)
    return InputError("internal", f"This is a fault of Screener: {last}.", "Please report it.")


def _begun(
    place: Place, settings: CohortSettings, cluster: Cluster, report: "Reporter"
) -> Screening:
    """Note what is asked, or make sure that it is what was asked before."""
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}", settings.run):
        raise InputError(
            "cohort.run",
            f"Expected a name of letters, digits, '.', '_' and '-', found {settings.run!r}.",
            "Name the run by --run.",
        )
    request = _request(place, settings, cluster, report)
    path = place.request(settings.run)
    if path.exists() and (before := read_json(path)) != request:
        differ = ", ".join(part for part in before if before[part] != request.get(part))
        raise InputError(
            "cohort.other_settings",
            f"Expected what was asked of {settings.run} before, found another {differ}.",
            "Use the same model, version and options, or give this run a name of its own by --run.",
        )
    write_json(path, request)
    return Screening(
        place.scans(settings.run).absolute(),
        settings.run,
        settings.asked,
        request,
        settings.seconds,
    )


def _request(
    place: Place, settings: CohortSettings, cluster: Cluster, report: "Reporter"
) -> dict[str, Any]:
    """Let a worker say what is asked: it has the model, and we do without torch."""
    make_folder(place.run(settings.run))
    limits = Limits(settings.seconds, Tries(place.tries(settings.run)))
    (answer,) = Crowd(cluster, limits, report).answers(wanted, [("the model", settings.asked)])
    if answer.refused is not None:
        raise answer.refused
    if answer.fault:
        raise RuntimeError(answer.fault)
    return answer.value
