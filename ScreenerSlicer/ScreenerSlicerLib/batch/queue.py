"""A batch: scans that are screened one after the other, whatever becomes of each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, final

from ctscreener.errors import InputError
from ctscreener.outputs import SummaryRow, summary_text
from ctscreener.whole_file import write_text
from ScreenerSlicerLib.batch.batch_job import Screened
from ScreenerSlicerLib.batch.sources import Handed, Source
from ScreenerSlicerLib.install.causes import JobError
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.process.timeline import JobProgress
from ScreenerSlicerLib.screening import JobState
from ScreenerSlicerLib.translation import tr as _

SUMMARY = "summary.csv"
State = Literal["waiting", "running", "done", "failed", "cancelled"]


class Job(Protocol):
    """What a batch asks of the job of a scan."""

    @property
    def state(self) -> JobState:
        """Where the job is."""
        ...

    @property
    def error(self) -> JobError | None:
        """Why it failed."""
        ...

    def start(self) -> None:
        """Begin."""

    def poll(self) -> JobProgress | None:
        """Return the newest progress, if there is any."""

    def cancel(self) -> None:
        """Ask it to end."""

    def output(self) -> Screened:
        """Return what came of it."""
        ...

    def close(self) -> None:
        """End it at once."""


class Engine(Protocol):
    """Makes the jobs."""

    def job(self, handed: Handed, request: ScreenRequest, out: Path) -> Job:
        """Make the job of one scan."""
        ...


@dataclass
class Entry:
    """A scan of the batch.

    Arguments:
        source: The scan.
        state: What became of it.
        screened: Its result, where there is one.
        error: Why there is none, on one line.
    """

    source: Source
    state: State = "waiting"
    screened: Screened | None = None
    error: str = ""


@final
class Queue:
    """Screens scans into folders of their own; one that fails does not stop the others.

    Attributes:
        entries: All scans, in their order.
        folder: Where the results of this batch are; None before the first start.
        progress: Where the scan that is on is.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.folder: Path | None = None
        self.progress: JobProgress | None = None
        self._on: tuple[Entry, Job] | None = None
        self._engine: Engine | None = None
        self._request = ScreenRequest()

    @property
    def busy(self) -> bool:
        """Whether a scan is on."""
        return self._on is not None

    @property
    def waiting(self) -> int:
        """How many scans were not screened yet; those that were cancelled are."""
        return sum(entry.state in ("waiting", "cancelled") for entry in self.entries)

    def add(self, sources: Sequence[Source]) -> int:
        """Add scans, each once; returns how many are new."""
        known = [entry.source for entry in self.entries]
        new = [source for source in sources if source not in known]
        self.entries += [Entry(source) for source in new]
        return len(new)

    def clear(self) -> None:
        """Forget all scans; their results stay. Does nothing while a scan is on."""
        if not self.busy:
            self.entries, self.folder = [], None

    def start(self, request: ScreenRequest, out: Path, engine: Engine) -> None:
        """Begin with the first scan that waits, or go on where a cancel has left off.

        Arguments:
            request: How all of them are screened.
            out: Where the folder of this batch is made; nothing in there is replaced.
            engine: Makes the jobs.
        """
        if self.busy:
            return
        if self.folder is None or self.folder.parent != out:
            self.folder = _free(out, _("Screener batch"))
        self._request, self._engine = request, engine
        for entry in self.entries:
            if entry.state == "cancelled":
                entry.state = "waiting"
        self._next()

    def poll(self) -> None:
        """Look how the scan is going, some times a second; after its end the next one begins."""
        if self._on is None:
            return
        entry, job = self._on
        self.progress = job.poll() or self.progress
        if job.state not in ("done", "failed", "cancelled"):
            return
        self._on, self.progress = None, None
        if job.state == "done":
            _take(entry, job.output())
        elif job.state == "failed":
            entry.state, entry.error = "failed", str(job.error)
        else:
            entry.state = "cancelled"
        job.close()
        self._summarize()
        if entry.state != "cancelled":
            self._next()

    def cancel(self) -> None:
        """Ask the scan that is on to end, and begin no other."""
        if self._on is not None:
            self._on[1].cancel()

    def close(self) -> None:
        """End the scan that is on at once."""
        if self._on is not None:
            entry, job = self._on
            job.close()
            entry.state, self._on, self.progress = "cancelled", None, None

    def _next(self) -> None:
        """Begin with the next scan that can be begun with."""
        assert self._engine is not None, "a start says by whom"
        assert self.folder is not None, "a start says where"
        for entry in self.entries:
            if entry.state != "waiting":
                continue
            try:
                handed = entry.source.hand_over()
            except InputError as error:
                entry.state, entry.error = "failed", str(error)
                self._summarize()
                continue
            out = _free(self.folder, entry.source.name)
            job = self._engine.job(handed, self._request, out)
            entry.state = "running"
            self._on = entry, job
            job.start()
            return

    def _summarize(self) -> None:
        """Write what became of the scans, as the engine does for several."""
        assert self.folder is not None, "a start says where"
        rows = [_row(one) for one in self.entries if one.state in ("done", "failed")]
        # Where that disk is full or gone, each scan says so itself.
        with contextlib.suppress(InputError, OSError):
            self.folder.mkdir(mode=0o700, exist_ok=True)
            write_text(self.folder / SUMMARY, summary_text(rows))


def _take(entry: Entry, screened: Screened) -> None:
    """Take the result of a scan; the map goes where it is wanted and is not kept here."""
    entry.state, entry.screened = "done", replace(screened, rarity=None)
    try:
        entry.source.take(screened.rarity)
    except InputError as error:
        # The result folder is whole all the same.
        entry.error = str(error)


def _row(entry: Entry) -> SummaryRow:
    name, screened = entry.source.name, entry.screened
    if screened is None:
        return SummaryRow(name, status="failed", error=entry.error)
    return SummaryRow(
        screened.folder.name, screened.findings, screened.top_rarity, screened.seconds
    )


def _free(parent: Path, wished: str) -> Path:
    """Find a folder that is not there yet, of letters that every file system takes."""
    plain = "".join(letter if letter.isalnum() or letter in "-_ ." else "_" for letter in wished)
    plain = plain.strip(". ")[:100] or "scan"
    number = 1
    while True:
        path = parent / (plain if number == 1 else f"{plain} {number}")
        if not path.exists():
            return path
        number += 1
