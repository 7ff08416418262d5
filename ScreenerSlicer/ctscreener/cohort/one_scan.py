"""One scan of a cohort, as a worker screens it: what `ctscreener screen` finds, and a row."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctscreener.cohort import compact_map
from ctscreener.cohort.asked import Asked, wanted
from ctscreener.cohort.index import Entry
from ctscreener.cohort.rows import PEAKS, ROW, levels_above, places, row_of
from ctscreener.errors import InputError
from ctscreener.outputs import check_space, publish
from ctscreener.reading import READ_SECONDS, Reader
from ctscreener.scan import Scan
from ctscreener.screen_command import memory_explained
from ctscreener.settings import read_json

if TYPE_CHECKING:
    from ctscreener.preprocess import Prepared
    from ctscreener.screening import Screened

_mine = threading.local()
"""The process that reads for a thread: its pipe has one end here."""


@dataclass(frozen=True)
class Screening:
    """Screens a scan into its folder, unless an earlier try has done so.

    Arguments:
        folder: The folder of all results of this run.
        run: What this run is called.
        asked: How to screen.
        request: What `wanted` says of it where it began: other workers must say the same.
        seconds: How long a scan may take.
    """

    folder: Path
    run: str
    asked: Asked
    request: Mapping[str, Any]
    seconds: float

    def __call__(self, entry: Entry) -> int:
        """Screen one scan; how many findings are listed.

        Raises:
            InputError: The scan cannot be used, or nothing can be written.
        """
        _apart()
        folder = self.folder / entry.folder
        row = standing_row(folder, entry, self.asked.full)
        if row is None:
            self._check()
            row = self._screen(entry, folder)
        return len(row["findings"])

    def _check(self) -> None:
        """Make sure that this worker would find what the others find."""
        mine = _wanted(self.asked)
        if mine != self.request:
            differ = ", ".join(part for part in mine if mine[part] != self.request.get(part))
            raise InputError(
                "cohort.workers",
                f"Expected all workers to have one software and model, found another {differ}.",
                "Install the same version of Screener and the same model everywhere.",
            )

    def _screen(self, entry: Entry, folder: Path) -> dict[str, Any]:
        """Screen a scan and write its folder."""
        from ctscreener.duplicates import fingerprint as print_of
        from ctscreener.provenance import fingerprint, provenance
        from ctscreener.screening import screen

        stamp, prints, began = entry.stamp(), list[str](), time.perf_counter()

        def look(prepared: "Prepared") -> None:
            prints.append(print_of(prepared.image))

        with memory_explained():
            scan = _reader(self.seconds).read(entry.path, entry.series)
            source = fingerprint(entry.path)
            reading = time.perf_counter() - began
            check_space(folder, (8 if self.asked.full else 1) * scan.hu.size + 8_000_000)
            screened = screen(scan, self.asked.load(), self.asked.settings(), look=look)
            asked = {**self.request, "parameters": {**self.request["parameters"]}}
            asked["parameters"]["series"] = entry.series
            seconds = {"reading": reading, **screened.seconds}
            origin = provenance(source, scan, asked, screened, seconds)
            facts = {
                "id": entry.id,
                "run": self.run,
                "path": str(entry.path),
                "series": entry.series,
                "stamp": stamp,
                "fingerprint": prints[0],
                "full": self.asked.full,
                "found": screened.found,
                **levels_above(screened.rarity),
            }
            found_at = places(screened.rarity, scan.affine, screened.findings)
            row = row_of(facts, origin, screened.findings, found_at)
            self._write(entry, folder, scan, screened, origin, row)
        return row

    def _write(
        self,
        entry: Entry,
        folder: Path,
        scan: Scan,
        screened: "Screened",
        origin: dict[str, Any],
        row: dict[str, Any],
    ) -> None:
        """Write all files of a scan; the row is the seal."""
        from ctscreener.cohort.peaks import draw_peaks
        from ctscreener.files import write_map
        from ctscreener.findings_text import findings_to_csv, findings_to_json
        from ctscreener.overview import draw_overview
        from ctscreener.rarity_text import counted_up_to

        counted = counted_up_to(origin)
        findings, rarity = screened.findings, screened.rarity
        told = (findings, origin, screened.found, counted, screened.elsewhere)
        writers: dict[str, Callable[[Path], Any]] = {
            compact_map.NAME: lambda file: compact_map.write_compact(file, rarity, scan.affine),
            "findings.csv": _text(findings_to_csv(findings, counted, screened.found)),
            "findings.json": _text(findings_to_json(*told)),
        }
        if findings:
            writers[PEAKS] = lambda file: draw_peaks(scan, rarity, findings).save(file, quality=80)
        if self.asked.full:
            title = f"{entry.id}, model {self.asked.load().name}"
            writers["anomaly.nrrd"] = lambda file: write_map(file, rarity, scan.affine)
            writers["overview.png"] = lambda file: draw_overview(
                scan, rarity, findings, title, found=screened.found, counted=counted
            ).save(file)
        writers[ROW] = _text(json.dumps(row))
        try:
            publish(folder, writers)
        except InputError:
            # Another worker, taken for lost, may have come before us.
            if standing_row(folder, entry, self.asked.full) is None:
                raise


def standing_row(folder: Path, entry: Entry, full: bool) -> dict[str, Any] | None:
    """Find what is known of a scan, if it still holds.

    Arguments:
        folder: Its result folder.
        entry: The scan.
        full: Whether the map of float32 has to be there.

    Returns:
        Its row; None where it was not screened, or the scan has changed since, by size or time.
    """
    try:
        row = read_json(folder / ROW)
    except InputError:
        return None
    same = isinstance(row, dict) and row.get("stamp") == entry.stamp()
    return row if same and (row.get("full") or not full) else None


def _text(text: str) -> Callable[[Path], Any]:
    content = text.encode("utf-8", "backslashreplace")
    return lambda path: path.write_bytes(content)


@lru_cache(maxsize=4)
def _wanted(asked: Asked) -> dict[str, Any]:
    return wanted(asked)


def _reader(seconds: float) -> Reader:
    """The reading process of this thread."""
    if not hasattr(_mine, "reader"):
        _mine.reader = Reader(min(READ_SECONDS, seconds))
    return _mine.reader


def _apart() -> None:
    """Leave the terminal's group of processes, once: its Ctrl-C is for the one that hands out work.

    A worker that runs inside that very process stays in it.
    """
    import multiprocessing

    if multiprocessing.parent_process() is not None and hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()
