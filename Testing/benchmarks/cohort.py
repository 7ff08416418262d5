"""Benchmark: what a cohort costs beside the screening itself, and how it grows.

    python Testing/benchmarks/cohort.py simulate [--scans 100 1000 10000]
    python Testing/benchmarks/cohort.py throughput SCANS [--model preview] [--workers 2] [--turns 2]
    python Testing/benchmarks/cohort.py duplicates [--scans 1000 10000 100000]

`simulate` has a stub in place of the scorer: a worker writes the row of a made-up scan with eight
findings. Scheduler, two workers and client are processes of their own; what is told of each scan is
the processor time of scheduler and client, which other work on the machine hardly changes, and the
wall time of two workers; of both the highest memory. `throughput` screens a folder of scans by
`ctscreener screen` and by `ctscreener cohort`, a sixth of them and all, in turn; from both numbers
follow what the start takes and what each scan takes, by wall and by processor time, and their
ratios. Where a machine has other work, that of the processor tells more. Thirty scans or more
make sense: `python training/run.py phantoms --out SCANS --count 36 --coarsen 1.7`.
`duplicates` compares made-up fingerprints, all with all.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
MIB = 2**20
FINDINGS = 8


@dataclass(frozen=True)
class Stub:
    """Stands for a screening: writes a row of findings drawn by the scan's number."""

    folder: Path

    def __call__(self, entry: Any) -> int:  # noqa: ANN401
        """Write one row."""
        from ctscreener.cohort.rows import ROW
        from ctscreener.outputs import publish

        row = made_up(entry)
        publish(self.folder / entry.folder, {ROW: lambda file: file.write_text(json.dumps(row))})
        return FINDINGS


def made_up(entry: Any) -> dict[str, Any]:  # noqa: ANN401
    """Draw the row of a scan."""
    random = np.random.default_rng(int(entry.id))
    finding = {
        "mean_rarity": 3.0,
        "peak_ras": random.normal(0, 99, 3).tolist(),
        "peak_index": random.integers(0, 500, 3).tolist(),
        "box_min": random.integers(0, 250, 3).tolist(),
        "box_max": random.integers(250, 500, 3).tolist(),
        "voxels": int(random.integers(1e5)),
        "part": "torso",
        "left": 0.5,
        "posterior": 0.5,
        "superior": 0.5,
    }
    drawn = ("peak_rarity", "volume_ml", "diameter_mm", "mean_hu")
    return {
        "id": entry.id,
        "run": "stub",
        "path": str(entry.path),
        "status": "done",
        "stamp": entry.stamp(),
        "sha256": random.bytes(32).hex(),
        "fingerprint": random.bytes(594).hex(),
        "voxels": 10_000_000,
        "above": [1_000_000, 100_000, 10_000, 1000, 100],
        "found": FINDINGS,
        "findings": [
            {"rank": rank + 1, **finding, **{name: float(random.normal()) for name in drawn}}
            for rank in range(FINDINGS)
        ],
    }


def main() -> None:
    """Measure what the first word says, and print a table."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("what", choices=("simulate", "throughput", "duplicates", "client"))
    flags.add_argument("folder", nargs="?", type=Path, help="of scans, for throughput")
    flags.add_argument("--scans", nargs="+", type=int, default=[])
    flags.add_argument("--model", default="preview")
    flags.add_argument("--workers", type=int, default=2)
    flags.add_argument("--turns", type=int, default=2)
    flags.add_argument("--scheduler", default="")
    options = flags.parse_args()
    if options.what == "client":
        print(json.dumps(client(options.folder, options.scans[0], options.scheduler)))
    elif options.what == "simulate":
        simulate(options.scans or [100, 1000, 10000])
    elif options.what == "duplicates":
        search(options.scans or [1000, 10000, 100000])
    else:
        throughput(options.folder, options)


def simulate(sizes: list[int]) -> None:
    """Share out made-up scans over processes."""
    import psutil

    from Testing.kills.cohort import Service

    print(
        "| scans | s | ms a scan | ms of scheduler | ms of client | scheduler MiB | client MiB "
        "| table kB a scan |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="cohort-") as name:
            folder, service = Path(name), Service(Path(name))
            service.keep()
            scheduler = psutil.Process(service.processes["scheduler"].pid)
            before = None
            try:
                command = [sys.executable, __file__, "client", str(folder / "out")]
                more = ["--scans", str(size), "--scheduler", service.address]
                time.sleep(5)
                before = sum(scheduler.cpu_times()[:2])
                ended = subprocess.run([*command, *more], stdout=subprocess.PIPE, check=True)
                spent = sum(scheduler.cpu_times()[:2]) - before
                peak = highest(scheduler.pid)
            finally:
                service.end()
            told = json.loads(ended.stdout.splitlines()[-1])
            cells = [
                size,
                f"{told['seconds']:.1f}",
                f"{1000 * told['seconds'] / size:.1f}",
                f"{1000 * spent / size:.1f}",
                f"{1000 * told['cpu'] / size:.1f}",
                f"{peak / MIB:.0f}",
                f"{told['peak'] / MIB:.0f}",
                f"{told['table'] / size / 1000:.2f}",
            ]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def highest(pid: int) -> int:
    """The most memory that a process ever had, in bytes; Linux alone tells."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def client(out: Path, size: int, scheduler: str) -> dict[str, float]:
    """Be the client of a simulation."""
    from ctscreener.cohort.asked import Asked
    from ctscreener.cohort.cluster import ClusterSettings, connected
    from ctscreener.cohort.cohort import CohortSettings, shared_out
    from ctscreener.cohort.index import Entry
    from ctscreener.cohort.place import Place
    from ctscreener.cohort.table import write_table
    from ctscreener.settings import write_json
    from ctscreener.terminal import Terminal

    place, settings = Place(out), CohortSettings(Asked(), "stub")
    entries = [Entry(f"{k:06}", Path(f"/made/up/{k:06}.nii.gz")) for k in range(size)]
    write_json(place.request("stub"), {})
    with connected(ClusterSettings(scheduler)) as cluster:
        while cluster.count() < 2:
            time.sleep(0.5)
        began, cpu = time.perf_counter(), time.process_time()
        work = Stub(place.scans("stub"))
        shared_out(entries, place, settings, work, cluster, Terminal(sys.stderr, sys.stderr))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert write_table(place) == size
    return {
        "seconds": seconds,
        "cpu": cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "table": place.table.stat().st_size,
    }


@dataclass(frozen=True)
class Spent:
    """What a run took, in seconds."""

    wall: float
    processor: float

    def least(self, other: "Spent | None") -> "Spent":
        """The lower of both, each by itself: whatever else runs on a machine only adds."""
        if other is None:
            return self
        return Spent(min(self.wall, other.wall), min(self.processor, other.processor))

    def a_scan(self, fewer: "Spent", scans: int) -> "Spent":
        """What each scan more took, beside a run of so many fewer."""
        return Spent((self.wall - fewer.wall) / scans, (self.processor - fewer.processor) / scans)

    def before(self, a_scan: "Spent", scans: int) -> "Spent":
        """What this run of so many scans took besides them: the start."""
        return Spent(self.wall - scans * a_scan.wall, self.processor - scans * a_scan.processor)


def throughput(folder: Path, options: argparse.Namespace) -> None:
    """Screen the same scans in both ways, a few and all, in turn, and tell start from scans."""
    from ctscreener.cohort.index import read_index

    scans = [str(entry.path.absolute()) for entry in read_index(folder)]
    few = max(1, len(scans) // 6)
    print(f"{len(scans)} scans, model {options.model}, {os.cpu_count()} cores")
    print("| way | scans | wall s | processor s |")
    print("|---|---|---|---|")
    best: dict[tuple[str, int], Spent] = {}
    for _ in range(options.turns):
        for count, way in itertools.product((few, len(scans)), ("screen", "cohort")):
            spent = screened(way, scans[:count], options)
            best[way, count] = spent.least(best.get((way, count)))
            print(f"| {way} | {count} | {spent.wall:.1f} | {spent.processor:.1f} |", flush=True)
    more = len(scans) - few
    print("\n| of the lowest | screen | cohort | cohort / screen |")
    print("|---|---|---|---|")
    each = {
        way: best[way, len(scans)].a_scan(best[way, few], more) for way in ("screen", "cohort")
    }
    start = {way: best[way, few].before(each[way], few) for way in each}
    for words, told in (("start", start), ("a scan", each)):
        for kind in ("wall", "processor"):
            one, two = getattr(told["screen"], kind), getattr(told["cohort"], kind)
            print(f"| {words}, {kind} s | {one:.2f} | {two:.2f} | {two / one:.2f} |")


def screened(way: str, scans: list[str], options: argparse.Namespace) -> Spent:
    """Screen scans in one of the two ways."""
    with tempfile.TemporaryDirectory(prefix="cohort-") as name:
        index = Path(name) / "index.txt"
        index.write_text("\n".join(scans) + "\n")
        words = ["--model", options.model, "--device", "cpu", "--out", f"{name}/out"]
        if way == "screen":
            words = ["screen", *scans, *words]
        else:
            words = ["cohort", str(index), *words, "--workers", str(options.workers)]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ctscreener", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "ScreenerSlicer")},
        )
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return Spent(wall, user + system)


def search(sizes: list[int]) -> None:
    """Compare random fingerprints, a hundredth of them copies with a tenth of the bits changed."""
    from ctscreener.duplicates import duplicates

    print("| scans | copies found | s | processor s | MiB |")
    print("|---|---|---|---|---|")
    for size in sizes:
        random = np.random.default_rng(0)
        codes = random.integers(0, 256, (size, 594), np.uint8)
        copies = size // 100
        flips = np.packbits(random.random((copies, 8 * 594)) < 0.1, axis=1)
        codes[-copies:] = codes[:copies] ^ flips
        prints = {f"{k:06}": code.tobytes().hex() for k, code in enumerate(codes)}
        began, cpu = time.perf_counter(), time.process_time()
        found = len(duplicates(prints))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {size} | {found} of {copies} | {wall:.1f} | {cpu:.1f} | {peak:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
