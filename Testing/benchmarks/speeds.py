"""Benchmark: the speeds that a screening can have, on the same scans.

    python Testing/benchmarks/speeds.py --scans FOLDER [--model NAME] [--distilled NAME] [--limit N]

The model where tiles overlap by a half, as a screening has it by itself; not at all, which the
module calls fast; and a model distilled from it, where one is named. Each runs in a process of its
own, so that its peak memory is its own. Seconds count from voxels in memory to map and findings.
How a map agrees with the standard's is measured where both are scored: correlation of rarities, of
their ranks, the share of the standard's rarest voxel in a thousand that is among the other's, and
how many of the standard's findings at rarity 3 meet a finding of the other.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
THRESHOLD = 3.0


@dataclass(frozen=True)
class Way:
    """One way to screen: a name, whether the distilled model does it, and how tiles overlap."""

    name: str
    distilled: bool
    overlap: float


WAYS = (
    Way("standard", False, 0.5),
    Way("fast", False, 0.0),
    Way("distilled", True, 0.0),
)


def main() -> None:
    """Screen every scan in every way, and print a table."""
    options = parser().parse_args()
    if options.work:
        print(json.dumps(work(options)))
        return
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        named = [str(path) for path in options.scans or [os.environ["SCREENER_SCANS"]]]
        scans = child(options, ["--work", "find", "--scans", *named])["scans"]
        for scan in scans[: options.limit]:
            runs += compare(options, Path(scan), Path(folder))
    show(runs, options.threads)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--model", default="preview", help="name or folder of a model")
    flags.add_argument("--distilled", help="of one distilled from it")
    flags.add_argument("--scans", nargs="+", type=Path, help="files, or folders of them")
    flags.add_argument("--limit", type=int, help="scans at most")
    flags.add_argument("--threads", type=int, default=2)
    flags.add_argument("--work", help=argparse.SUPPRESS)
    flags.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    flags.add_argument("--fewest", type=float, help=argparse.SUPPRESS)
    return flags


def child(options: argparse.Namespace, task: list[str]) -> dict[str, Any]:
    """Run one task in a process of its own."""
    from Testing.benchmarks.child import ask

    named = ["--distilled", options.distilled] if options.distilled else []
    return ask(__file__, options.threads, ["--model", options.model, *named, *task])


def work(options: argparse.Namespace) -> dict[str, Any]:
    """What a child process does."""
    if options.work == "find":
        from Testing.benchmarks.engine import find_scans

        return {"scans": find_scans(options.scans)}
    if options.work == "alike":
        standard, other = (np.load(path) for path in options.scans)
        return alike(standard, other, options.fewest)
    return screen_once(options)


def compare(options: argparse.Namespace, scan: Path, folder: Path) -> list[dict[str, Any]]:
    """Screen one scan in every way, each in its own process."""
    runs = []
    for number, way in enumerate(WAYS):
        if way.distilled and not options.distilled:
            continue
        print(f"{scan.name}: {way.name}", file=sys.stderr, flush=True)
        to = str(folder / f"{number}.npy")
        run = child(options, ["--work", str(number), "--scans", str(scan), "--to", to])
        maps = [str(folder / "0.npy"), to]
        run |= child(
            options, ["--work", "alike", "--scans", *maps, "--fewest", str(run["fewest"])]
        )
        runs.append({"scan": scan.name, "way": way.name} | run)
    return runs


def screen_once(options: argparse.Namespace) -> dict[str, Any]:
    """Screen a scan in one way; keep its map.

    Returns:
        Seconds in all and of preparing and scoring, tiles, peak memory in GB, and the fewest voxels
        of a finding.
    """
    import torch

    from ctscreener.files import read_scan
    from ctscreener.findings import FindingSettings, fewest_voxels
    from ctscreener.model import load_model
    from ctscreener.screening import ScreenSettings, screen

    torch.set_num_threads(options.threads)
    way = WAYS[int(options.work)]
    model = load_model(options.distilled if way.distilled else options.model)
    scan = read_scan(options.scans[0])
    start = time.perf_counter()
    screened = screen(scan, model, ScreenSettings(overlap=way.overlap, device="cpu"))
    seconds = time.perf_counter() - start
    np.save(options.to, screened.rarity)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1e9 if sys.platform == "darwin" else 1e6
    return {
        "seconds": seconds,
        "preparing": screened.seconds["preparing"],
        "scoring": screened.seconds["scoring"],
        "tiles": screened.tiles,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "fewest": fewest_voxels(scan.affine, FindingSettings()),
    }


def alike(standard: np.ndarray, other: np.ndarray, fewest: float) -> dict[str, Any]:
    """How well a map agrees with the standard's, `(D, H, W)` each, NaN where not scored."""
    from ctscreener.components import regions_above
    from training.imitation import agreement

    body = np.isfinite(standard)
    assert np.array_equal(body, np.isfinite(other)), "the same voxels are scored"
    found, others = (regions_above(each, THRESHOLD, fewest) for each in (standard, other))
    marked = np.zeros(standard.size, bool)
    for region in others:
        marked[region] = True
    met = sum(bool(marked[region].any()) for region in found)
    told = {"findings": len(found), "its": len(others), "met": met}
    return told | agreement(standard[body], other[body])


def show(runs: list[dict[str, Any]], threads: int) -> None:
    """Print how long, how much memory, and how alike; medians over scans at the end."""
    from training.page.written import markdown

    first = {run["scan"]: run for run in runs if run["way"] == WAYS[0].name}
    rows = []
    for run in runs:
        times = first[run["scan"]]["seconds"] / run["seconds"]
        run["times"] = times
        rows.append(
            [
                run["scan"],
                run["way"],
                *(f"{run[name]:.1f}" for name in ("seconds", "preparing", "scoring")),
                str(run["tiles"]),
                f"{run['memory']:.2f}",
                f"{times:.1f}",
                *(f"{run[name]:.2f}" for name in ("pearson", "spearman", "top")),
                f"{run['met']} of {run['findings']}",
                str(run["its"]),
            ]
        )
    heads = ["scan", "way", "s", "prepare", "score", "tiles", "GB", "times"]
    heads += ["Pearson", "Spearman", "top", "findings met", "its findings"]
    print(f"{threads} threads; `times` is the standard's seconds divided by these.\n")
    print(markdown(heads, rows))
    for way in WAYS:
        mine = [run for run in runs if run["way"] == way.name]
        if not mine:
            continue
        middle = {
            name: median(run[name] for run in mine) for name in ("times", "pearson", "spearman")
        }
        slowest = max(run["seconds"] for run in mine)
        met, found = (sum(run[name] for run in mine) for name in ("met", "findings"))
        print(
            f"{way.name}: slowest {slowest:.1f} s; medians: {middle['times']:.1f} times as fast, "
            f"Pearson {middle['pearson']:.2f}, Spearman {middle['spearman']:.2f}; "
            f"{met} of {found} findings met"
        )


if __name__ == "__main__":
    main()
