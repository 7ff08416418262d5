"""Results as tables: Markdown, CSV, and a page beside what the papers print."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from ctscreener.errors import InputError
from ctscreener.screen import ScreenSettings
from ctscreener.settings import read_json
from ctscreener.whole_file import make_folder, write_text

FORMAT, FORMAT_VERSION = "ctscreener-evaluation", 3

COLUMNS = (
    ("AUROC (95%)", "auroc", "pooled"),
    ("AUROC@.3 (95%)", "auroc@0.3", "pooled"),
    ("AUPRO@.3 (95%)", "aupro@0.3", "pooled"),
    ("a scan: AUROC (95%)", "auroc", "mean"),
    ("AUROC@.3 (95%)", "auroc@0.3", "mean"),
    ("AP (95%)", "ap", "mean"),
    ("Dice, own best threshold (95%)", "dice", "own"),
    ("AP (95%)", "ap", "pooled"),
    ("Dice, others' threshold (95%)", "dice", "elsewhere"),
    ("FROC (95%)", "froc", "sensitivity"),
)
"""Title, metric and kind of each number."""
RARITY_HEADER = (
    *("model", "set", "scans, patients", "rarity", "voxels promised", "voxels found (95%)"),
    *("false findings a scan (95%)", "lesions met (95%)"),
)
HEADER = ("model", "set", "voxels", "scans", "score", *(title for title, _, _ in COLUMNS))


@dataclass(frozen=True)
class TablesSettings:
    """Print the results of evaluations as one table, and write a page that explains them."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Files `results.json` of the stage `evaluate`."""
    out: Path | None = None
    """Folder for `table.md`, `table.csv` and `page.html`; none prints the table only."""
    pictures: int = 2
    """Best and worst scans of each set that the page shows."""


def main(settings: TablesSettings) -> None:
    """Print one table of all results; write it, and the page, where asked to.

    Arguments:
        settings: All settings.

    Raises:
        InputError: A file cannot be read, or is not of this version.
    """
    results = [read_results(path) for path in settings.results]
    table = markdown(HEADER, [row for result in results for row in evaluation_rows(result)])
    table = f"{table}\n{rarity_table(results)}"
    print(table, end="")
    if settings.out is None:
        return
    # The page needs matplotlib, the table does not.
    from training.page.page import page

    make_folder(settings.out)
    folders = [path.parent for path in settings.results]
    texts = {
        "table.md": table,
        "table.csv": comma_separated(results),
        "page.html": page(results, folders, settings.pictures),
    }
    for name, text in texts.items():
        write_text(settings.out / name, text)
    print(f"Wrote {', '.join(texts)} in {settings.out}")


def read_results(path: Path) -> dict[str, Any]:
    """Read the results of one evaluation.

    Raises:
        InputError: `json.unreadable` or `tables.version`.
    """
    results = read_json(path)
    known = results if isinstance(results, dict) else {}
    found = known.get("format"), known.get("format_version")
    if found != (FORMAT, FORMAT_VERSION):
        raise InputError(
            "tables.version",
            f"Expected {FORMAT} version {FORMAT_VERSION} in {path}, found {found[0]} version "
            f"{found[1]}.",
            "Run the stage `evaluate` again.",
        )
    return results


def model_name(result: Mapping[str, Any]) -> str:
    """Name of a model with how its tiles overlapped, where that is not how they usually do."""
    name, overlap = result["model"]["name"], result["parameters"]["overlap"]
    if overlap is None or overlap == ScreenSettings().overlap:
        return name
    return f"{name}, overlap {overlap:g}"


def evaluation_table(results: Mapping[str, Any]) -> str:
    """Lay out what `training.evaluate` measured.

    Arguments:
        results: The contents of `results.json`.
    """
    return markdown(HEADER, evaluation_rows(results))


def evaluation_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """One row for each set, protocol and score, in the order of `HEADER`."""
    return [
        [
            model_name(results),
            part["set"],
            part["protocol"],
            str(len(part["scans"])),
            name,
            *(interval(score[metric][kind]) for _, metric, kind in COLUMNS),
        ]
        for part in results["sets"]
        for name, score in part["scores"].items()
    ]


def rarity_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Lay out what rarities are worth in each set, as a table with what it rests on below.

    Arguments:
        results: The contents of each `results.json`.
    """
    return (
        markdown(RARITY_HEADER, list(rarity_rows(results)))
        + "\nFalse findings meet no known lesion; what nobody outlined counts as false. "
        + f"Seen in making the model: {'; '.join(map(seen_text, results))}.\n"
    )


def rarity_rows(results: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """One row for each set and rarity, in the order of `RARITY_HEADER`."""
    for result in results:
        for part in result.get("rarities", []):
            for level in part["levels"]:
                yield [
                    model_name(result),
                    part["set"],
                    f"{part['scans']}, {part['patients']}",
                    str(level["rarity"]),
                    percent({"value": level["promised"], "low": None, "high": None}),
                    percent(level["share"]),
                    findings(level.get("findings")),
                    interval(level["met"]) if level.get("met") else "-",
                ]


def seen_text(result: Mapping[str, Any]) -> str:
    """Which stages of a model saw how many scans of each set."""
    sets = []
    for part in result.get("rarities", []):
        given = part["seen"]
        stages = [f"{stage} {count}" for stage, count in (given or {}).items() if count]
        words = "not known" if given is None else ", ".join(stages) or "none"
        sets.append(f"{part['set']} ({part['scans']} scans): {words}")
    return f"`{model_name(result)}`, {', '.join(sets) or 'no rarities measured'}"


def comma_separated(results: Sequence[Mapping[str, Any]]) -> str:
    """Every number of several results, one a line, with its interval and its rounding."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["model", "set", "voxels", "grid", "score", "metric", "kind", "value", "low", "high"]
        + ["rounding"]
    )
    for result in results:
        for part in result["sets"]:
            for name, score in part["scores"].items():
                place = part["set"], part["protocol"], result["measuring"]["grid"], name
                for line in _numbers(score):
                    table.writerow([model_name(result), *place, *line])
        for part in result.get("rarities", []):
            for line in _promises(part):
                place = part["set"], "scored", "own", "Screener"
                table.writerow([model_name(result), *place, *line, None])
    return text.getvalue()


def _numbers(score: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Metric, kind, value, low, high and rounding of each number of one score."""
    for metric, kinds in score.items():
        if not isinstance(kinds, dict):
            continue
        for kind, value in kinds.items():
            if isinstance(value, dict) and "low" in value:
                rounding = kinds.get("rounding") if kind == "pooled" else None
                yield [metric, kind, value["value"], value["low"], value["high"], rounding]
    best = score["dice"]
    yield ["dice", "best", best["best"], None, None, best["rounding"]]


def _promises(part: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Metric, kind, value, low and high of what rarities are worth in one set."""
    for level in part["levels"]:
        for kind in ("share", "findings", "met"):
            if value := level.get(kind):
                name = f"rarity {level['rarity']}"
                yield [name, kind, value["value"], value["low"], value["high"]]


def percent(estimate: Mapping[str, float | None]) -> str:
    """Write a small share with its interval.

    Example:
        >>> percent({"value": 0.00123, "low": 0.0008, "high": 0.00211})
        '.12% (.08-.21)'
        >>> percent({"value": 1e-4, "low": None, "high": None})
        '.01%'
    """
    value, low, high = (
        None if (x := estimate[key]) is None else _two_digits(100 * x)
        for key in ("value", "low", "high")
    )
    return "-" if value is None else f"{value}% ({low}-{high})" if low and high else f"{value}%"


def _two_digits(value: float) -> str:
    """Two digits that count, without the zero in front."""
    text = f"{float(f'{value:.2g}'):g}"
    return text[1:] if text.startswith("0.") else text


def findings(estimate: Mapping[str, float | None] | None) -> str:
    """Write a number of findings a scan with its interval.

    Example:
        >>> findings({"value": 3.25, "low": 0.5, "high": 11.0})
        '3.2 (0.5-11.0)'
        >>> findings(None)
        '-'
    """
    if estimate is None:
        return "-"
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    bounds = f" ({low:.1f}-{high:.1f})" if low is not None and high is not None else ""
    return "-" if value is None else f"{value:.1f}{bounds}"


def interval(estimate: Mapping[str, float | None]) -> str:
    """Write a number with its interval, as far as there are any.

    Example:
        >>> interval({"value": 0.9, "low": 0.81, "high": 0.951})
        '.900 (.810-.951)'
        >>> interval({"value": 1.0, "low": None, "high": None})
        '1.000'
    """
    value, low, high = (short(estimate[key]) for key in ("value", "low", "high"))
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


def short(value: float | None, digits: int = 3) -> str:
    """A few digits, without the zero in front; nothing for no value."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text
