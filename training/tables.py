"""Results as tables: Markdown, CSV, and a page beside what the papers print."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ctscreener.errors import InputError
from ctscreener.findings import FindingSettings
from ctscreener.settings import read_json, write_json
from ctscreener.whole_file import make_folder, write_text
from training.evaluation.pooled import Pooled, pool
from training.evaluation.results import Promise, Results, Score
from training.flags import POSITIONAL
from training.page.pooled_table import pooled_table
from training.page.table_rows import HEADER, RARITY_HEADER, evaluation_rows, rarity_rows, seen_text
from training.page.written import markdown, model_name

FORMAT, FORMAT_VERSION = "ctscreener-evaluation", 3


@dataclass(frozen=True)
class TablesSettings:
    """Print the results of evaluations as one table, and write a page that explains them."""

    results: Annotated[tuple[Path, ...], POSITIONAL]
    """Files `results.json` of the stage `evaluate`."""
    out: Path | None = None
    """Folder for `table.md`, `table.csv` and `page.html`; none prints the table only."""
    pool: bool = False
    """Count the scans of all results together: those of the models of all folds, each measured on
    the scans of its own. Writes `pooled.md` and `pooled.json`, and no page."""
    pictures: int = 2
    """Best and worst scans of each set that the page shows."""


def main(settings: TablesSettings) -> None:
    """Print one table of all results; write it, and the page, where asked to.

    Arguments:
        settings: All settings.

    Raises:
        InputError: There is no file, one cannot be read, is not of this version, or cannot be pooled.
    """
    if not settings.results:
        raise InputError(
            "tables.nothing",
            "Expected files results.json of the stage `evaluate`, found none.",
            "Name one or more.",
        )
    results = [read_results(path) for path in settings.results]
    if settings.pool:
        print_pooled(pool(results), settings.out)
        return
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


def print_pooled(pooled: Pooled, out: Path | None) -> None:
    """Print the tables of pooled results; write them where asked to."""
    table = pooled_table(pooled)
    print(table, end="")
    if out is None:
        return
    make_folder(out)
    write_text(out / "pooled.md", table)
    write_json(out / "pooled.json", pooled)
    print(f"Wrote pooled.md, pooled.json in {out}")


def read_results(path: Path) -> Results:
    """Read the results of one evaluation.

    Raises:
        InputError: `json.unreadable` or `tables.version`.
    """
    results = read_json(path)
    known: Any = results if isinstance(results, dict) else {}
    found = known.get("format"), known.get("format_version")
    if found != (FORMAT, FORMAT_VERSION):
        raise InputError(
            "tables.version",
            f"Expected {FORMAT} version {FORMAT_VERSION} in {path}, found {found[0]} version "
            f"{found[1]}.",
            "Run the stage `evaluate` again.",
        )
    return known


def evaluation_table(results: Results) -> str:
    """Lay out what `training.evaluate` measured.

    Arguments:
        results: The contents of `results.json`.
    """
    return markdown(HEADER, evaluation_rows(results))


def rarity_table(results: Sequence[Results]) -> str:
    """Lay out what rarities are worth in each set, as a table with what it rests on below.

    Arguments:
        results: The contents of each `results.json`.
    """
    return (
        markdown(RARITY_HEADER, list(rarity_rows(results)))
        + "\nFalse findings meet no known lesion; what nobody outlined counts as false. "
        + f"Of each scan the {FindingSettings().most} rarest findings are listed. "
        + f"Seen in making the model: {'; '.join(map(seen_text, results))}.\n"
    )


def comma_separated(results: Sequence[Results]) -> str:
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


def _numbers(score: Score) -> Iterator[list[Any]]:
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


def _promises(part: Promise) -> Iterator[list[Any]]:
    """Metric, kind, value, low and high of what rarities are worth in one set."""
    for level in part["levels"]:
        for kind in ("share", "findings", "met", "listed", "listed_met"):
            if value := level.get(kind):
                name = f"rarity {level['rarity']}"
                yield [name, kind, value["value"], value["low"], value["high"]]
