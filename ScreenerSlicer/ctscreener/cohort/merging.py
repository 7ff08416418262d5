"""Merging cohorts: what several have screened, in one place and one table."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctscreener.cohort.place import Place
from ctscreener.cohort.rows import ROW
from ctscreener.cohort.table import write_table
from ctscreener.errors import InputError
from ctscreener.lock import held
from ctscreener.outputs import publish
from ctscreener.settings import read_json, write_json
from ctscreener.whole_file import make_folder

if TYPE_CHECKING:
    from ctscreener.reporter import Reporter


def merge(places: Sequence[Place], out: Place, report: "Reporter") -> int:
    """Make one cohort of several; files are linked where the disk can, so they take no room twice.

    Arguments:
        places: The cohorts.
        out: Where the new one goes; it may be a cohort already, and a merge that was broken off
            goes on.
        report: Hears how it goes.

    Returns:
        Rows of the new table.

    Raises:
        InputError: `cohort.missing` for what is no cohort, `cohort.other_settings` where runs of
            one name were asked differently, `cohort.ids` where one id stands for two scans.
    """
    for place in places:
        if not place.runs():
            raise InputError(
                "cohort.missing",
                f"Expected a cohort in {place.folder}, found no run.",
                "Check the folder.",
            )
    with held(out.folder):
        _check_requests([*places, out])
        moves = [move for place in places for run in place.runs() for move in _scans(place, run)]
        _check_scans(moves, out)
        for place in places:
            for run in place.runs():
                write_json(out.request(run), read_json(place.request(run)))
        for number, (run, folder) in enumerate(moves):
            report.progress("merging", number, len(moves))
            _bring(folder, out.scans(run) / folder.name)
        report.progress("merging", len(moves), len(moves))
        for place in places:
            for run in place.runs():
                _bring_failures(place, out, run)
        return write_table(out)


def _scans(place: Place, run: str) -> list[tuple[str, Path]]:
    """The result folders of a run."""
    return [(run, row.parent) for row in sorted(place.scans(run).glob(f"[!.]*/{ROW}"))]


def _check_requests(places: Sequence[Place]) -> None:
    """Refuse runs of one name that answer different questions."""
    asked: dict[str, tuple[object, Place]] = {}
    for place in places:
        for run in place.runs():
            mine = read_json(place.request(run))
            before, other = asked.setdefault(run, (mine, place))
            if mine != before:
                raise InputError(
                    "cohort.other_settings",
                    f"Expected the same of {run} in {other.folder} and {place.folder}, found "
                    "other models, versions or options.",
                    f"Screen one of them under another --run, or rename its folder runs/{run}.",
                )


def _check_scans(moves: Sequence[tuple[str, Path]], out: Place) -> None:
    """Refuse one id for two scans, before anything is brought."""
    seen: dict[tuple[str, str], Path] = {}
    clashes = []
    for run, folder in moves:
        there = out.scans(run) / folder.name
        first = seen.setdefault((run, folder.name), there if (there / ROW).is_file() else folder)
        if first != folder and _source(first) != _source(folder):
            clashes.append(str(read_json(folder / ROW)["id"]))
    if clashes:
        raise InputError(
            "cohort.ids",
            f"Expected an id for each scan, found some that stand for two: {', '.join(clashes[:3])}"
            f"{' and others' if len(clashes) > 3 else ''}.",
            "Screen one of the cohorts with other ids, given by a CSV.",
        )


def _source(folder: Path) -> tuple[object, object]:
    row = read_json(folder / ROW)
    return row["sha256"], row["series"]


def _bring(folder: Path, to: Path) -> None:
    """Link or copy a result folder, whole or not at all."""
    if (to / ROW).is_file():
        return
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    ordered = [name for name in names if name != ROW] + [ROW]
    publish(to, {name: _linked(folder / name) for name in ordered})


def _linked(source: Path) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        try:
            os.link(source, path)
        except OSError:
            # Another disk, or one without links.
            shutil.copyfile(source, path)

    return write


def _bring_failures(place: Place, out: Place, run: str) -> None:
    """Bring what is known of failures, but of scans that another cohort could screen."""
    make_folder(out.failed(run))
    for file in sorted(place.failed(run).glob("*.json")):
        if not (out.scans(run) / file.stem / ROW).is_file():
            write_json(out.failed(run) / file.name, read_json(file))
    for file in out.failed(run).glob("*.json"):
        if (out.scans(run) / file.stem / ROW).is_file():
            file.unlink()
