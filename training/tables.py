"""Results as Markdown tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from ctscreener.settings import read_json

HEADER = (
    "model",
    "set",
    "scans",
    "score",
    "AUROC (95%)",
    "AUROC@.3 (95%)",
    "a scan: AUROC (95%)",
    "AUROC@.3 (95%)",
)


@dataclass(frozen=True)
class TablesSettings:
    """Print the results of evaluations as one table."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Files `results.json` of the stage `evaluate`."""


def main(settings: TablesSettings) -> None:
    """Print one table of all results.

    Arguments:
        settings: All settings.

    Raises:
        InputError: A file cannot be read.
    """
    rows = [row for path in settings.results for row in evaluation_rows(read_json(path))]
    print(markdown(HEADER, rows), end="")


def evaluation_table(results: Mapping[str, Any]) -> str:
    """Lay out what `training.evaluate` measured.

    Arguments:
        results: The contents of `results.json`.
    """
    return markdown(HEADER, evaluation_rows(results))


def evaluation_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """One row for each set and score, in the order of `HEADER`."""
    return [
        [
            results["model"]["name"],
            part["set"],
            str(len(part["scans"])),
            name,
            *(interval(score[area][kind]) for kind, area in COLUMNS),
        ]
        for part in results["sets"]
        for name, score in part["scores"].items()
    ]


COLUMNS = [(kind, area) for kind in ("pooled", "mean") for area in ("auroc", "auroc@0.3")]


def interval(estimate: Mapping[str, float | None]) -> str:
    """Write a number with its interval, as far as there are any.

    Example:
        >>> interval({"value": 0.9, "low": 0.81, "high": 0.951})
        '.900 (.810-.951)'
        >>> interval({"value": 1.0, "low": None, "high": None})
        '1.000'
    """
    value, low, high = (_short(estimate[key]) for key in ("value", "low", "high"))
    return f"{value} ({low}-{high})" if low and high else value or "-"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells as a Markdown table that is also readable as plain text.

    Arguments:
        header: Names of the columns.
        rows: Cells, as many in each row as there are columns.

    Example:
        >>> print(markdown(["scan", "s"], [["a", "1"], ["bcdef", "12"]]), end="")
        | scan  | s  |
        |-------|----|
        | a     | 1  |
        | bcdef | 12 |
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def _short(value: float | None) -> str:
    """Three digits, without the zero in front; nothing for no value."""
    if value is None:
        return ""
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text
