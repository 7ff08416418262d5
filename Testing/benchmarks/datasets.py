"""Benchmark: data sets of many scans, listed and checked; seconds and memory.

    python Testing/benchmarks/datasets.py [--sizes 1000 10000] [--read 200]

Made-up cases in the layout of KiTS, each a small scan with a mask, no two the same. Listing is what
`prepare`, `insert` and `evaluate` do first; checking is `datasets check` as it is by default (every
file looked for, every header read, files of one size compared, 24 scans read and drawn); `--read`
is how many scans are checked with every voxel read and compared. Each runs in a process of its own.
"""

import argparse
import gzip
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer"), str(Path(__file__).parent)]
SHAPE = (24, 24, 20)


def main() -> None:
    """Make sets, measure every way on each, and print a table."""
    from child import ask

    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--sizes", nargs="+", type=int, default=[1000, 10_000])
    flags.add_argument("--read", type=int, default=200)
    flags.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    flags.add_argument("--threads", help=argparse.SUPPRESS)
    options = flags.parse_args()
    if options.work:
        print(json.dumps(work(options.work[0], Path(options.work[1]))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in [*options.sizes, options.read]:
            made = Path(folder) / str(size)
            if not made.exists():
                write(made, size)
            for way in ("nothing", "list", "check") if size in options.sizes else ("read",):
                print(f"{way}, {size} scans", file=sys.stderr, flush=True)
                rows.append((way, size, ask(__file__, 1, ["--work", way, str(made)])))
    show(rows)


def write(folder: Path, size: int) -> None:
    """Write so many cases, each with a voxel pattern of its own."""
    rng = np.random.default_rng(0)
    header = header_of(SHAPE)
    body = np.full(SHAPE, -1000, "<i2")
    body[4:-4, 4:-4] = 40
    mask = np.zeros(SHAPE, "<i2")
    mask[8:12, 8:12, 8:12] = 2
    masked = gzip.compress(header + mask.tobytes(order="F"), 1)
    for number in range(size):
        case = folder / f"case_{number:05}"
        case.mkdir(parents=True)
        hu = body + rng.integers(-30, 30, SHAPE, dtype=np.int16)
        image = gzip.compress(header + hu.tobytes(order="F"), 1)
        (case / "imaging.nii.gz").write_bytes(image)
        (case / "segmentation.nii.gz").write_bytes(masked)


def header_of(shape: tuple[int, int, int]) -> bytes:
    """A NIfTI header of int16 voxels of 3 mm, its affine in the sform."""
    header = np.zeros(352, np.uint8)

    def put(at: int, values: object, kind: str) -> None:
        raw = np.array(values, kind).tobytes()
        header[at : at + len(raw)] = np.frombuffer(raw, np.uint8)

    put(0, 348, "<i4")
    put(40, [3, *shape, 1, 1, 1, 1], "<i2")
    put(70, [4, 16], "<i2")
    put(76, [1, 3, 3, 3, 1, 1, 1, 1], "<f4")
    put(108, [352, 1, 0], "<f4")
    header[123] = 2
    put(252, [0, 1], "<i2")
    put(280, [[-3, 0, 0, 30], [0, -3, 0, 30], [0, 0, 3, -30]], "<f4")
    header[344:348] = np.frombuffer(b"n+1\0", np.uint8)
    return header.tobytes()


def work(way: str, folder: Path) -> dict[str, Any]:
    """Do one thing to one set."""
    from training.data.sources import find_sources
    from training.datasets.check import CheckSettings
    from training.datasets.check import main as check

    def checked(**more: Any) -> int:  # noqa: ANN401 - settings of any type
        out = folder.parent / f"{folder.name}_out"
        with redirect_stdout(StringIO()):
            found = check(CheckSettings("kits", folder, out=out, workers=1, **more))
        assert not any(found[what] for what in ("missing", "broken", "identical"))
        return found["scans"]

    ways: dict[str, Callable[[], int]] = {
        "nothing": lambda: 0,
        "list": lambda: len(find_sources([Path(f"kits:{folder}")])),
        "check": checked,
        "read": lambda: checked(every=True, sample=0),
    }
    wall, cpu = time.monotonic(), time.process_time()
    scans = ways[way]()
    return {
        "scans": scans,
        "seconds": time.monotonic() - wall,
        "cpu": time.process_time() - cpu,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def show(rows: list[tuple[str, int, dict[str, Any]]]) -> None:
    """Print what was measured."""
    print(
        "| what | scans | seconds | CPU seconds here | peak memory (MiB) |\n|---|---|---|---|---|"
    )
    for way, size, found in rows:
        print(
            f"| {way} | {size} | {found['seconds']:.1f} | {found['cpu']:.1f} | {found['mib']:.0f} |"
        )


if __name__ == "__main__":
    main()
