"""Benchmark: how long a reader waits for the Slicer module on a map of 512 x 512 x 300 voxels.

    python Testing/benchmarks/module.py [--repeats 15] [--size 512] [--shape 300 512 512]

It times, on Slicer's own nodes, logics and rendering without its windows:

- from a change of threshold, opacity or colours to the picture of one slice view, by software
  OpenGL; the aim is 100 ms;
- finding again after a change of the threshold, without the model; the aim is 1 s;
- what holds up the user at the start and at the end of a run; the aim is 50 ms.

Seconds on the clock count what else the machine does; seconds of this process hardly do.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import slicer
from scipy.ndimage import gaussian_filter, zoom

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]

from ctscreener.findings import FindingSettings, find
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import Fingerprint, shared_scan_of
from Testing.host.scene import SlicerScene
from Testing.host.views import SliceView
from Testing.slicer.lumps import Geometry, add_scan
from training.page.written import markdown

SPACING = (1.0, 0.7, 0.7)
THRESHOLDS = (2.0, 2.5, 3.0, 3.5, 4.0)


@dataclass(frozen=True)
class Timing:
    """How long something took, each time it was done.

    Arguments:
        what: A name for it.
        aim: Milliseconds that it may take; None without aim.
        clock: Milliseconds on the clock.
        own: Milliseconds that this process worked, all its threads together.
    """

    what: str
    aim: float | None
    clock: list[float]
    own: list[float]


def main() -> None:
    """Time everything, and print a table."""
    options = parser().parse_args()
    with SlicerScene() as host:
        host.add_views((options.size, options.size))
        timings = list(run(host, tuple(options.shape), options.repeats))
    shape = " x ".join(str(extent) for extent in reversed(options.shape))
    print(f"{shape} voxels, views of {options.size} x {options.size}, {os.cpu_count()} cores\n")
    rows = [
        [
            one.what,
            f"{statistics.median(one.clock):.0f}",
            f"{max(one.clock):.0f}",
            f"{statistics.median(one.own):.0f}",
            f"{one.aim:.0f}" if one.aim else "",
        ]
        for one in timings
    ]
    print(markdown(["ms", "median", "longest", "median CPU", "aim"], rows), end="")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--repeats", type=int, default=15)
    flags.add_argument("--size", type=int, default=512, help="pixels of a view, each way")
    flags.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), help="D H W")
    return flags


def timed(what: str, aim: float | None, times: int, do: Callable[[], object]) -> Timing:
    """Do something several times, once more beforehand."""
    clock, own = [], []
    for _ in range(times + 1):
        start, worked = time.perf_counter(), time.process_time()
        do()
        clock.append((time.perf_counter() - start) * 1000)
        own.append((time.process_time() - worked) * 1000)
    return Timing(what, aim, clock[1:], own[1:])


def run(host: SlicerScene, shape: tuple[int, ...], repeats: int) -> Iterator[Timing]:
    """Time each thing that a reader waits for."""
    logics = Logics(host.logics.application, host.logics.colors, host.logics.segmentations)
    scan_node, rarity = phantom(host.scene, shape)

    def start() -> object:
        return shared_scan_of(scan_node), Fingerprint.of(scan_node)

    yield timed("start: take the scan", 50, repeats, start)
    found = find(rarity, shared_scan_of(scan_node))
    results = []

    def finish() -> None:
        if results:
            host.scene.RemoveNode(results.pop().map_node)
        results.append(ScreenResult.create(host.scene, logics, scan_node, rarity, {}))
        results[0].put_findings(found, FindingSettings())

    yield timed("end: put map and findings into the scene", 50, repeats, finish)
    (result,) = results
    result.heat_map.show(scan_node)
    result.heat_map.legend(True)
    host.views.fit()
    yield from pictures(host, result, repeats)
    yield from findings(result, repeats)


def pictures(host: SlicerScene, result: ScreenResult, repeats: int) -> Iterator[Timing]:
    """From a change to the picture, in each orientation."""
    heat_map = result.heat_map
    for name, view in host.views.slices.items():
        thresholds, opacities, ends = cycle(THRESHOLDS), cycle((0.3, 0.5, 0.7)), cycle((5.0, 6.0))
        for what, change in {
            "threshold": lambda values=thresholds: heat_map.set_threshold(next(values)),
            "opacity": lambda values=opacities: heat_map.set_opacity(next(values)),
            "colour range": lambda values=ends: heat_map.set_range(0.0, next(values)),
            "flicker": heat_map.flicker,
        }.items():

            def draw(change: Callable[[], None] = change, view: SliceView = view) -> None:
                change()
                view.pixels()

            yield timed(f"{name}: {what} to picture", 100, repeats, draw)


def findings(result: ScreenResult, repeats: int) -> Iterator[Timing]:
    """Finding again at several thresholds, and jumping to a finding."""
    for threshold in THRESHOLDS:
        settings = FindingSettings(threshold)
        timing = timed(
            f"find again at {threshold:g}",
            1000,
            max(3, repeats // 3),
            lambda settings=settings: result.find_again(settings),
        )
        yield Timing(f"{timing.what}: {len(result.findings)}", 1000, timing.clock, timing.own)
    result.find_again(FindingSettings(3.0))
    if result.findings:
        result.table.review(1, "accepted")
    yield timed(
        "find again at 3 with a review",
        1000,
        max(3, repeats // 3),
        lambda: result.find_again(FindingSettings(3.0)),
    )
    yield timed("jump to the next finding", 100, repeats, result.navigation.next)
    ranks = [one.rank for one in result.findings]
    yield timed("make segments of all findings", None, 3, lambda: result.make_segments(ranks))


def phantom(
    scene: slicer.vtkMRMLScene, shape: tuple[int, ...]
) -> tuple[slicer.vtkMRMLScalarVolumeNode, np.ndarray]:
    """A CT of noise in the scene, and a map of blurred noise with the tail of a real one.

    One voxel of a body of a third of the scan in 10 to the power of r has rarity r or more.
    """
    rng = np.random.default_rng(0)
    small = gaussian_filter(rng.normal(size=[-(-extent // 2) for extent in shape]), 2)
    field = np.asarray(zoom(small.astype(np.float32), 2, order=1))
    field = field[tuple(slice(0, extent) for extent in shape)]
    index = np.ogrid[tuple(slice(-1, 1, extent * 1j) for extent in shape)]
    body = (index[1] / 0.75) ** 2 + (index[2] / 0.85) ** 2 + 0 * index[0] < 1
    inside = field[body]
    rank = np.empty(len(inside), np.int64)
    rank[np.argsort(inside)] = np.arange(len(inside))
    rarity = np.full(shape, np.nan, np.float32)
    rarity[body] = -np.log10(1 - (rank + 0.5) / len(inside))
    affine = np.diag([0.0, 0, 0, 1])
    affine[:3, :3] = np.diag(SPACING)[::-1] * [[-1], [-1], [1]]
    scan_node = add_scan(scene, Geometry(affine), np.where(body, 40, -1000).astype(np.int16))
    return scan_node, rarity


if __name__ == "__main__":
    main()
