"""Benchmark: the evaluation's metrics beside scikit-learn and torchmetrics, on the same arrays.

    python Testing/benchmarks/evaluation.py [--sizes 1 2 4 8] [--repeats 3]

Each way runs in a process of its own, so that its peak memory is its own. Scores are normal, one
voxel in a hundred is a lesion, in balls; sizes are in millions of voxels. `ours` gives AUROC, both
partial areas (AUPRO included), AP and the best Dice of the same voxels; the others give AUROC and
AP alone, in one call each. torchmetrics gets scores squeezed into 0..1, since it would squash
others by a sigmoid.

A second table measures what one scan costs in full (three histograms, the regions of the mask, the
peaks of FROC), fits a line over sizes, and tells what 1,000 CTs of 512 x 512 x 400 would take.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
WAYS = ("ours", "scikit-learn", "torchmetrics")
SLICE = 256
FULL = 512 * 512 * 400
"""Voxels of a full CT."""
SCANS = 1000


def main() -> None:
    """Measure all ways at the largest size, one scan at all sizes, and print both tables."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--sizes", nargs="+", type=float, default=[1, 2, 4, 8, 16])
    flags.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts")
    flags.add_argument("--work", help=argparse.SUPPRESS)
    options = flags.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.sizes[0])))
        return
    largest = max(options.sizes)
    runs = {way: fastest(way, largest, options.repeats) for way in ("nothing", *WAYS)}
    scans = [fastest("scan", size, options.repeats) for size in sorted(options.sizes)]
    show(runs, scans, largest)


def fastest(way: str, millions: float, repeats: int) -> dict[str, Any]:
    """The run with the least CPU time, which a busy machine changes least."""
    runs = []
    for number in range(repeats):
        print(f"{way}, {millions:g} million voxels, run {number + 1}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--work", way, "--sizes", str(millions)]
        one = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=one)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["cpu"])


def work(way: str, millions: float) -> dict[str, Any]:
    """What a child process does: one way on one volume."""
    scores, lesion = volume(round(millions * 1e6))
    measure = MEASURES[way]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    numbers = measure(scores, lesion)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    extra = (after - before) / 1024
    return {"wall": wall, "cpu": cpu, "extra_mb": extra, "voxels": scores.size, **numbers}


def volume(voxels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, float32, and lesions in balls, bool, `(D, 256, 256)`."""
    rng = np.random.default_rng(0)
    shape = (max(1, round(voxels / SLICE**2)), SLICE, SLICE)
    scores = rng.standard_normal(shape, np.float32)
    lesion = np.zeros(shape, bool)
    d, h, w = np.ogrid[-9:10, -9:10, -9:10]
    ball = d**2 + h**2 + w**2 <= 81
    for _ in range(round(0.01 * scores.size / ball.sum())):
        at = [int(rng.integers(0, max(1, n - 19))) for n in shape]
        box = tuple(slice(a, a + 19) for a in at)
        lesion[box] |= ball[: lesion[box].shape[0]]
    scores[lesion] += 1.5
    return scores, lesion


Measure = Callable[[np.ndarray, np.ndarray], dict[str, float]]


def nothing() -> Measure:
    """What a process costs that measures nothing."""
    return lambda scores, lesion: {}


def ours() -> Measure:
    """The pooled metrics of this project."""
    from training.evaluation.counts import Counts
    from training.evaluation.curves import PARTIAL, aupro, auroc, average_precision, best_dice

    def measure(scores: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
        # All lesions are one region here: to tell them apart is not what the others do.
        counts = Counts.of(scores, lesion)
        found = auroc(counts)
        auroc(counts, PARTIAL), aupro(counts), best_dice(counts)
        ap = average_precision(counts)
        return {"auroc": found.value, "ap": ap.value, "bound": max(found.bound, ap.bound)}

    return measure


def scikit_learn() -> Measure:
    """AUROC and AP of scikit-learn."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    def measure(scores: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
        flat = lesion.ravel(), scores.ravel()
        return {
            "auroc": float(roc_auc_score(*flat)),
            "ap": float(average_precision_score(*flat)),
        }

    return measure


def torchmetrics() -> Measure:
    """AUROC and AP of torchmetrics, exact."""
    import torch
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    def measure(scores: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
        low, high = scores.min(), scores.max()
        inside = torch.from_numpy((scores.ravel() - low) / (high - low))
        truth = torch.from_numpy(lesion.ravel()).long()
        return {
            "auroc": float(binary_auroc(inside, truth)),
            "ap": float(binary_average_precision(inside, truth)),
        }

    return measure


def scan() -> Measure:
    """All that the stage `evaluate` does to one map of one scan."""
    from training.evaluation.froc import Marks
    from training.evaluation.protocols import PROTOCOLS, Truth, count

    def measure(scores: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
        truth = Truth.of(lesion.astype(np.uint8), np.eye(4), 0, ignore=False)
        count(scores, truth, PROTOCOLS, [0])
        Marks.of(scores, truth.region, truth.spacing)
        return {"regions": float(truth.regions)}

    return measure


MEASURES: dict[str, Callable[[], Measure]] = {
    "nothing": nothing,
    "ours": ours,
    "scikit-learn": scikit_learn,
    "torchmetrics": torchmetrics,
    "scan": scan,
}


def show(runs: dict[str, Any], scans: list[dict[str, Any]], largest: float) -> None:
    """Print both tables and the extrapolation."""
    from training.page.written import markdown

    base = runs["ours"]
    rows = [
        [
            way,
            f"{runs[way]['cpu']:.2f}",
            f"{runs[way]['cpu'] / base['cpu']:.1f}",
            f"{runs[way]['extra_mb']:.0f}",
            f"{runs[way]['auroc']:.6f}",
            f"{runs[way]['ap']:.6f}",
        ]
        for way in WAYS
    ]
    print(f"\n{largest:g} million voxels, one thread; bound of ours {base['bound']:.1e}\n")
    print(markdown(["way", "CPU s", "times ours", "extra MB", "AUROC", "AP"], rows))
    voxels, cpu, extra = (
        np.array([run[name] for run in scans]) for name in ("voxels", "cpu", "extra_mb")
    )
    slope, start = np.polyfit(voxels, cpu, 1)
    worst = np.abs(cpu - (slope * voxels + start)).max()
    lines = [
        [f"{v / 1e6:.1f}", f"{c:.2f}", f"{m:.0f}"]
        for v, c, m in zip(voxels, cpu, extra, strict=True)
    ]
    print(markdown(["million voxels of one scan", "CPU s", "extra MB"], lines))
    hours = SCANS * (slope * FULL + start) / 3600
    print(
        f"Slope {slope * 1e9:.0f} s for 10^9 voxels (the line misses no point by more than "
        f"{worst:.2f} s): {SCANS:,} scans of 512 x 512 x 400 take {hours:.1f} h on one core for "
        "each map, besides screening them."
    )


if __name__ == "__main__":
    main()
