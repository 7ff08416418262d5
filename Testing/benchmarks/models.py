"""Benchmark: what the bundled models cost, beside tiled networks and MONAI's loop.

    python Testing/benchmarks/models.py --scans FOLDER [--limit N] [--threads 2]

Ways to screen each scan, each in a process of its own so that its peak memory is its own:

- `preview`: as it is bundled;
- `large`: the same with its third stage, where the encoder's weights are found;
- `tiled`: tiled networks of ordinary size with random weights, as a model from scratch has them;
- `MONAI preview`: the networks of `preview` under `monai.inferers.sliding_window_inference`, in
  windows that overlap by a quarter, all else being the engine's own.

Seconds count from the scan's voxels in memory to its findings; of several rounds the median.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
WAYS = ("preview", "large", "tiled", "MONAI preview")
WINDOW = (64, 192, 192)
"""Voxels of 3 x 1.5 x 1.5 mm that MONAI takes at once."""
OVERLAP = 0.25


def main() -> None:
    """Screen every scan in every way, and print a table."""
    options = parser().parse_args()
    if options.work:
        print(json.dumps(work(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        tiled = str(Path(folder) / "tiled")
        child(options, ["--work", "tiled", "--to", tiled])
        named = [str(path) for path in options.scans or [os.environ["SCREENER_SCANS"]]]
        scans = child(options, ["--work", "find", "--scans", *named])["scans"]
        ways = [way for way in options.ways if way != "large" or large_is_here()]
        runs = []
        for scan in scans[: options.limit]:
            runs += compare(options, scan, ways, tiled)
    show(runs, options.threads)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--scans", nargs="+", type=Path, help="files, or folders of them")
    flags.add_argument("--limit", type=int, help="scans at most")
    flags.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="what screens them")
    flags.add_argument("--rounds", type=int, default=1, help="times that each is screened")
    flags.add_argument("--threads", type=int, default=2)
    flags.add_argument("--work", help=argparse.SUPPRESS)
    flags.add_argument("--way", help=argparse.SUPPRESS)
    flags.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    return flags


def large_is_here() -> bool:
    """Whether the encoder's weights of `large` are found; says so where they are not."""
    from ctscreener.errors import InputError
    from ctscreener.public_encoder import SHA256, find_weights

    try:
        find_weights(None, SHA256)
    except InputError as error:
        print(f"`large` is left out: {error}", file=sys.stderr)
        return False
    return True


def child(options: argparse.Namespace, task: list[str]) -> dict[str, Any]:
    """Run one task in a process of its own."""
    from Testing.benchmarks.child import ask

    return ask(__file__, options.threads, task)


def compare(
    options: argparse.Namespace, scan: str, ways: list[str], tiled: str
) -> list[dict[str, Any]]:
    """Screen one scan in every way, so many rounds; medians."""
    runs = []
    for way in ways:
        print(f"{Path(scan).name}: {way}", file=sys.stderr, flush=True)
        task = ["--work", "screen", "--way", way, "--scans", scan, "--to", tiled]
        rounds = [child(options, task) for _ in range(options.rounds)]
        middle = {key: median(one[key] for one in rounds) for key in rounds[0]}
        runs.append({"scan": Path(scan).name, "way": way, **middle})
    return runs


def work(options: argparse.Namespace) -> dict[str, Any]:
    """What a child process does."""
    from Testing.benchmarks.engine import find_scans, write_random_model

    if options.work == "tiled":
        return write_random_model(options.to)
    if options.work == "find":
        return {"scans": find_scans(options.scans)}
    return screen_once(options.way, options.scans[0], options.to, options.threads)


def screen_once(way: str, path: Path, tiled: Path, threads: int) -> dict[str, Any]:
    """Screen a scan in one way.

    Returns:
        Seconds and CPU seconds, megavoxels, findings, and peak memory in GB.
    """
    import torch

    from ctscreener.files import read_scan
    from ctscreener.model import load_model
    from ctscreener.screening import ScreenSettings, screen

    torch.set_num_threads(threads)
    model = load_model(str(tiled) if way == "tiled" else way.rpartition(" ")[2])
    if way.startswith("MONAI"):
        slide(model.networks)
    scan = read_scan(path)
    start, worked = time.perf_counter(), time.process_time()
    screened = screen(scan, model, ScreenSettings(device="cpu"))
    took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - worked}
    # Kilobytes on Linux, bytes on macOS.
    unit = 1e9 if sys.platform == "darwin" else 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return took | {
        "memory": memory,
        "findings": len(screened.findings),
        "megavoxels": scan.hu.size / 1e6,
    }


def slide(networks: Any) -> None:  # noqa: ANN401
    """Let MONAI's loop drive the networks, window by window."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    from ctscreener.encoder import STEM_STRIDE

    plain = type(networks).whole

    def scores(x: torch.Tensor) -> torch.Tensor:
        image = x[0, 0].round().short().numpy()
        found, _ = plain(networks, image, np.ones(image.shape, bool), x.device, lambda a, b: None)
        return torch.from_numpy(found)[None, None]

    def whole(image: np.ndarray, body: np.ndarray, device: torch.device, step: Any) -> Any:  # noqa: ANN401
        size = [-(-n // unit) for n, unit in zip(image.shape, STEM_STRIDE, strict=True)]
        # MONAI pads to a window on both sides, and loses half a voxel of a map by that.
        full = [k * unit for k, unit in zip(size, STEM_STRIDE, strict=True)]
        after = [(0, max(n, m) - k) for n, m, k in zip(full, WINDOW, image.shape, strict=True)]
        padded = np.pad(image, after, constant_values=-1000)
        x = torch.from_numpy(padded).float()[None, None]
        found = sliding_window_inference(
            x, WINDOW, 1, scores, OVERLAP, mode="gaussian", cval=-1000.0
        )
        return np.asarray(found)[0, 0, : size[0], : size[1], : size[2]].copy(), STEM_STRIDE

    networks.whole = whole


def show(runs: list[dict[str, Any]], threads: int) -> None:
    """Print how long and how much memory."""
    from training.tables import markdown

    # Beside MONAI where it was asked for, else beside the last way.
    last = runs[-1]["way"]
    base = {run["scan"]: run["seconds"] for run in runs if run["way"] == last}
    rows = [
        [
            run["scan"],
            run["way"],
            f"{run['megavoxels']:.1f}",
            f"{run['seconds']:.1f}",
            f"{run['cpu']:.1f}",
            f"{run['memory']:.2f}",
            f"{run['findings']:.0f}",
            f"{base[run['scan']] / run['seconds']:.1f}",
        ]
        for run in runs
    ]
    header = ["scan", "way", "Mvoxels", "s", "CPU s", "GB", "findings", "times"]
    print(f"{threads} threads; `times` is the seconds of `{last}` divided by these.\n")
    print(markdown(header, rows), end="")


if __name__ == "__main__":
    main()
