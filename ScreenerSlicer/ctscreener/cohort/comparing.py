"""Two runs side by side, such as two models: which findings of the one the other has, too."""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from scipy.stats import rankdata

from ctscreener.cohort.place import Place
from ctscreener.cohort.table import read_batches
from ctscreener.errors import InputError
from ctscreener.streams import say
from ctscreener.texts import cell, plain
from ctscreener.whole_file import write_text

Finding = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """One scan in two runs.

    Arguments:
        scan: Its id.
        findings: Listed findings of the first run.
        findings_2: Those of the second.
        met: Those of the first whose peak lies in the box of one of the second.
        met_2: The other way round.
        top: Highest rarity of a finding of the first; none where it has none.
        top_2: Likewise of the second.
    """

    scan: str
    findings: int
    findings_2: int
    met: int
    met_2: int
    top: float | None
    top_2: float | None


def compare(place: Place, runs: Sequence[str]) -> list[Pair]:
    """Compare two runs of a cohort, print what differs and write it, a line a scan.

    Arguments:
        place: The cohort.
        runs: Their two names.

    Returns:
        The scans that both have screened.

    Raises:
        InputError: `cohort.run` where there are no such runs, or they share no scan.
    """
    known = place.runs()
    if len(set(runs)) != 2 or len(runs) != 2 or not set(runs) <= set(known):
        raise InputError(
            "cohort.run",
            f"Expected the names of two runs, found {' '.join(runs) or 'none'}.",
            f"Choose from {', '.join(known) or 'none'}.",
        )
    found = list(pairs(place, runs[0], runs[1]))
    if not found:
        raise InputError(
            "cohort.run",
            f"Expected scans that {runs[0]} and {runs[1]} have both screened, found none.",
            "Screen the same index by both.",
        )
    path = place.folder / f"compare_{runs[0]}_{runs[1]}.csv"
    write_text(path, _csv(found))
    say(sys.stdout, *told(found, runs), f"Scan by scan: {path}")
    return found


def pairs(place: Place, one: str, other: str) -> Iterator[Pair]:
    """Set the two runs of each scan side by side, in the order of the table."""
    columns = ["id", "run", "status", "findings"]
    first: dict[str, list[Finding]] = {}
    second: dict[str, list[Finding]] = {}
    for batch in read_batches(place, columns):
        for row in batch:
            if row["status"] == "done" and row["run"] in (one, other):
                (first if row["run"] == one else second)[row["id"]] = _brief(row["findings"])
    for scan in sorted(first.keys() & second.keys()):
        yield pair(scan, first[scan], second[scan])


def pair(scan: str, one: Sequence[Finding], other: Sequence[Finding]) -> Pair:
    """Compare the findings of one scan.

    Arguments:
        scan: Its id.
        one: `peak_rarity`, `peak_index`, `box_min` and `box_max` of each finding of the first run.
        other: Those of the second, on the same grid.
    """
    return Pair(
        scan,
        len(one),
        len(other),
        sum(_is_met(finding, other) for finding in one),
        sum(_is_met(finding, one) for finding in other),
        max((finding["peak_rarity"] for finding in one), default=None),
        max((finding["peak_rarity"] for finding in other), default=None),
    )


def told(found: Sequence[Pair], runs: Sequence[str]) -> list[str]:
    """Sum it up in lines."""
    total, total_2 = sum(p.findings for p in found), sum(p.findings_2 for p in found)
    met, met_2 = sum(p.met for p in found), sum(p.met_2 for p in found)
    lines = [
        f"{len(found)} scans by both.",
        f"{runs[0]}: {total} listed findings, of which {runs[1]} lists {met}.",
        f"{runs[1]}: {total_2} listed findings, of which {runs[0]} lists {met_2}.",
    ]
    tops = np.array([(p.top, p.top_2) for p in found if p.top is not None and p.top_2 is not None])
    if len(tops) > 2 and np.all(np.ptp(tops, axis=0) > 0):
        order = float(np.corrcoef(rankdata(tops[:, 0]), rankdata(tops[:, 1]))[0, 1])
        lines.append(f"Rank correlation of each scan's highest rarity: {order:.2f}.")
    return lines


def _brief(findings: Sequence[Finding]) -> list[Finding]:
    """Keep what is compared: tens of thousands of scans have to fit into memory."""
    names = ("peak_rarity", "peak_index", "box_min", "box_max")
    return [{name: finding[name] for name in names} for finding in findings]


def _is_met(finding: Finding, others: Sequence[Finding]) -> bool:
    peak = finding["peak_index"]
    return any(
        all(
            low <= at <= high
            for low, at, high in zip(one["box_min"], peak, one["box_max"], strict=True)
        )
        for one in others
    )


def _csv(found: Sequence[Pair]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Pair))
    for one in found:
        writer.writerow((asdict(one) | {"scan": cell(plain(one.scan))}).values())
    return text.getvalue()
