"""A result as a person reads it: a table of its findings, in colour where there is a terminal."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from ctscreener.rarity_text import counted_up_to, rarity_text
from ctscreener.streams import say


def show_json(
    stream: TextIO, scan: str, folder: Path, record: Mapping[str, Any], reused: bool
) -> None:
    """Print a result as one line of JSON: the contents of `findings.json`, and where it lies.

    Arguments:
        stream: Where to.
        scan: What the scan is called.
        folder: Where its files are.
        record: The contents of `findings.json`.
        reused: Whether an earlier run had already done this scan.
    """
    where = {"scan": scan, "folder": str(folder.resolve()), "reused": reused}
    print(json.dumps({**where, **record}), file=stream, flush=True)


def show_text(
    stream: TextIO, scan: str, folder: Path, record: Mapping[str, Any], reused: bool
) -> None:
    """Print the findings as a table, and where the files are; see `show_json`.

    In a terminal the table has the colours of the heat map, where the package `rich` is installed.
    """
    again = " (done before, kept)" if reused else ""
    count = len(record["findings"])
    counted = counted_up_to(record.get("provenance", {}))
    # Records of before the cap was told hold no number of all.
    found = max(count, int(record.get("found", count)))
    of_all = f"{count} of {found}" if found > count else f"{count}"
    rows = [_row(finding, counted) for finding in record["findings"]]
    say(stream, f"{scan}: {of_all} finding{'s' * (found != 1)}{again}")
    if rows and stream.isatty() and importlib.util.find_spec("rich"):
        from ctscreener.coloured_table import print_table

        cells = [[_cell(value) for value in row.values()] for row in rows]
        rarities = [finding["peak_rarity"] for finding in record["findings"]]
        print_table(stream, list(rows[0]), cells, rarities)
    else:
        say(stream, *table(rows))
    say(
        stream,
        f"Picture: {folder / 'overview.png'}",
        f"Map:     {folder / 'anomaly.nrrd'}",
        record["notice"],
    )


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lay rows of single values out in columns; text to the left, numbers to the right.

    Example:
        >>> table([{"rank": 1, "note": "a"}, {"rank": 12, "note": "bc"}])
        ['rank  note', '   1  a', '  12  bc']
    """
    if not rows:
        return []
    columns = []
    for key in rows[0]:
        cells = [str(key), *(_cell(row[key]) for row in rows)]
        width = max(map(len, cells))
        numbers = not isinstance(rows[0][key], str)
        columns.append([c.rjust(width) if numbers else c.ljust(width) for c in cells])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def _row(finding: Mapping[str, Any], counted: float) -> dict[str, object]:
    right, anterior, superior = finding["peak_ras"]
    return {
        "rank": finding["rank"],
        # As wide as the name of its column, so that points stand below each other.
        "rarity": f"{rarity_text(finding['peak_rarity'], counted, digits=2):>6}",
        "volume ml": finding["volume_ml"],
        "diameter mm": finding["diameter_mm"],
        "mean HU": finding["mean_hu"],
        "right mm": right,
        "anterior mm": anterior,
        "superior mm": superior,
    }


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
