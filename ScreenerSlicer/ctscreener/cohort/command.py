"""`ctscreener cohort`: its flags, and what each of its words does."""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ctscreener.errors import InputError

if TYPE_CHECKING:
    from ctscreener.reporter import Reporter

NEEDS = ("distributed", "pyarrow")
WORDS = ("report", "merge", "compare", "duplicates")
DONE, FAULT, REFUSED = 0, 1, 2
USAGE = """
  ctscreener cohort INDEX --out DIR             screen all scans of an index: a folder, a list, a
                                                CSV or Parquet table, a DICOM archive
  ctscreener cohort report DIR                  write DIR/report.html
  ctscreener cohort merge DIR DIR... --out DIR  make one cohort of several
  ctscreener cohort compare DIR RUN RUN         compare two runs, such as two models
  ctscreener cohort duplicates DIR [STORE...]   scans that are nearly the same, here or in stores
                                                and cohorts that something was trained on
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.usage, parser.formatter_class = USAGE, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("words", nargs="+", metavar="INDEX", help=f"an index, or {', '.join(WORDS)} and folders")
    add("--out", type=Path, metavar="DIR", help="where the results go")
    add("--workers", type=int, default=0, metavar="N", help="processes, or SLURM jobs at most")
    add("--scheduler", default="local", metavar="ADDRESS", help="or local (default), or slurm")
    add("--memory", type=float, default=0.0, metavar="GIB", help="of a worker; ended beyond it")
    add("--minutes", type=float, default=60.0, metavar="N", help="that one scan may take (60)")
    add("--run", metavar="NAME", help="what this run is called (as the model)")
    add("--retry", action="store_true", help="try again what has failed before")
    add("--full", action="store_true", help="keep float32 maps and overviews, too: ten times more")
    add("--model", default="preview", metavar="NAME|DIR", help="what to screen with (preview)")
    add("--encoder", type=Path, metavar="FILE", help="the encoder's weights, where it needs them")
    add("--device", default="auto", help="as for screen (auto)")
    add("--threshold", type=float, default=3.0, help="as for screen (3)")
    add("--overlap", type=float, help="as for screen")
    add("--min-volume", type=float, default=0.1, metavar="ML", help="as for screen (0.1)")
    add("--most", type=int, default=5, metavar="N", help="as for screen (5)")
    add("--all-parts", action="store_true", help="as for screen")
    add("--events", action="store_true", help="JSON lines on stdout, for programs")


def run(options: argparse.Namespace, report: "Reporter") -> int:
    """Do what the first word says.

    Arguments:
        options: The flags.
        report: Hears how it goes.

    Returns:
        0 done, 2 where a scan cannot be used, 1 after a fault of ours.

    Raises:
        InputError: What was asked for cannot be done.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            "cohort.libraries",
            f"Expected the libraries of a cohort, found no {' and no '.join(missing)}.",
            "pip install 'ctscreener[cohort]'.",
        )
    word, *rest = options.words
    if word in WORDS:
        return _do(word, rest, options, report)
    if rest:
        raise InputError("option.invalid", "Expected one INDEX, found several.", f"Usage: {USAGE}")
    return _screen(Path(word), options, report)


def _screen(index: Path, options: argparse.Namespace, report: "Reporter") -> int:
    from ctscreener.cohort.asked import Asked
    from ctscreener.cohort.cluster import ClusterSettings
    from ctscreener.cohort.cohort import CohortSettings, screen_cohort
    from ctscreener.cohort.index import read_index
    from ctscreener.cohort.place import Place
    from ctscreener.streams import say

    asked = Asked(
        model=options.model,
        encoder=str(options.encoder.absolute()) if options.encoder else None,
        device=options.device,
        threshold=options.threshold,
        min_volume=options.min_volume,
        most=options.most,
        overlap=options.overlap,
        all_parts=options.all_parts,
        full=options.full,
    )
    settings = CohortSettings(
        asked=asked,
        run=options.run or Path(options.model).name,
        seconds=60 * options.minutes,
        retry=options.retry,
    )
    workers = ClusterSettings(options.scheduler, options.workers, options.memory)
    place = Place(_out(options))
    if index.is_dir() and place.folder.resolve().is_relative_to(index.resolve()):
        raise InputError(
            "option.invalid",
            f"Expected --out outside of {index}, found it inside: maps would be taken for scans.",
            "Choose another --out.",
        )
    count = screen_cohort(read_index(index), place, settings, workers, report)
    counts = f"{count.done} screened, {count.kept} known before, {count.failed} failed"
    again = f", {count.kept_failed} had failed before (--retry tries them again)"
    say(sys.stdout, f"{place.table}: {counts}{again if count.kept_failed else ''}.")
    if count.faults:
        return FAULT
    return REFUSED if count.failed or count.kept_failed else DONE


def _do(word: str, rest: list[str], options: argparse.Namespace, report: "Reporter") -> int:
    """Do something with cohorts that are there."""
    from ctscreener.cohort import comparing, leakage, merging, report_page
    from ctscreener.cohort.place import Place
    from ctscreener.streams import say

    if not rest:
        raise InputError("option.invalid", f"Expected a folder after {word}, found none.", USAGE)
    place, *others = [Place(Path(name)) for name in rest]
    if word == "report":
        say(sys.stdout, f"{report_page.write_report(place)}")
    elif word == "merge":
        out = Place(_out(options))
        say(sys.stdout, f"{out.table}: {merging.merge([place, *others], out, report)} rows.")
    elif word == "compare":
        comparing.compare(place, rest[1:])
    else:
        leakage.search(place, [other.folder for other in others])
    return DONE


def _out(options: argparse.Namespace) -> Path:
    if options.out is None:
        raise InputError("option.invalid", "Expected --out DIR, found none.", "Name a folder.")
    return options.out
