"""Benchmark: the engine beside MONAI's sliding window, on the same scans and networks.

    python Testing/benchmarks/engine.py --scans FOLDER [--model NAME] [--limit N] [--threads 2]

Three ways to screen each scan, each in a process of its own so that its peak memory is its own:

- `engine`: as it ships, networks in bfloat16;
- `engine float32`: the same without bfloat16;
- `MONAI float32`: `monai.inferers.sliding_window_inference` drives the same networks as the paper
  describes it: descriptors and conditions at full resolution, average pooling, density, scores
  brought back to full resolution and averaged where tiles overlap, with the engine's weights.

All of them have the same preprocessing, tiles, overlap and weights. Scores are brought up block by
block, which makes the maps comparable voxel by voxel: what MONAI computes is then what the engine
computes, without its shortcuts. Seconds count from the scan in memory to scores on its own grid.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
WAYS = ("engine", "engine float32", "MONAI float32")


def main() -> None:
    """Run every way on every scan, and print two tables."""
    options = parser().parse_args()
    if options.work:
        print(json.dumps(work(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.model == "random":
            options.model = str(Path(folder) / "random")
            child(options, ["--work", "model"])
        # Found by a child too: what this process holds would count as memory of its children.
        named = [str(path) for path in options.scans or [os.environ["SCREENER_SCANS"]]]
        scans = child(options, ["--work", "find", "--scans", *named])["scans"]
        runs = [compare(options, Path(scan), Path(folder)) for scan in scans[: options.limit]]
    show(runs, options.threads)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument(
        "--model", default="random", help="name or folder; `random` has no training"
    )
    flags.add_argument("--scans", nargs="+", type=Path, help="files, or folders of them")
    flags.add_argument("--limit", type=int, help="scans at most")
    flags.add_argument("--threads", type=int, default=2)
    flags.add_argument("--brief", action="store_true", help="leave `engine float32` out")
    flags.add_argument("--work", help=argparse.SUPPRESS)
    flags.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    return flags


def find_scans(named: list[Path]) -> list[str]:
    """Files and DICOM folders to screen."""
    from training.data.sources import find_sources

    paths = [source.path for source in find_sources(named)]
    return [str(path) for path in paths if "bad_input" not in path.parts]


def compare(options: argparse.Namespace, scan: Path, folder: Path) -> dict[str, Any]:
    """Screen one scan in every way, each in its own process."""
    run: dict[str, Any] = {"scan": scan.name}
    ways = [way for way in WAYS if not (options.brief and way == "engine float32")]
    for way in ways:
        print(f"{scan.name}: {way}", file=sys.stderr, flush=True)
        to = str(folder / f"{way}.npy")
        run[way] = child(options, ["--work", way, "--scans", str(scan), "--to", to])
    run |= child(options, ["--work", "agreement", "--to", str(folder)])
    return run


def child(options: argparse.Namespace, task: list[str]) -> dict[str, Any]:
    """Run one task in a process of its own."""
    from Testing.benchmarks.child import ask

    return ask(__file__, options.threads, ["--model", options.model, *task])


def work(options: argparse.Namespace) -> dict[str, Any]:
    """What a child process does."""
    if options.work == "model":
        return write_random_model(Path(options.model))
    if options.work == "find":
        return {"scans": find_scans(options.scans)}
    if options.work == "agreement":
        return agreement({file.stem: np.load(file) for file in options.to.glob("*.npy")})
    return screen_once(options.work, options.model, options.scans[0], options.to, options.threads)


def screen_once(way: str, model: str, path: Path, to: Path, threads: int) -> dict[str, Any]:
    """Screen a scan in one way; keep its scores on the pooled grid.

    Returns:
        Seconds of each stage and in all, CPU seconds (which a busy machine changes least),
        number of tiles, and peak memory in GB.
    """
    import torch

    from ctscreener.files import read_scan
    from ctscreener.model import load_model
    from ctscreener.preprocess import prepare, restore
    from ctscreener.resampling import pooled_affine
    from ctscreener.screening import ScreenSettings, StageSeconds, score
    from ctscreener.tiled import smoothed
    from Testing.benchmarks.monai_scores import OVERLAP, monai_scores, pooled

    torch.set_num_threads(threads)
    loaded = load_model(model)
    scan = read_scan(path)
    settings, pool = loaded.settings, loaded.settings.pool
    clock, start, worked = StageSeconds(), time.perf_counter(), time.process_time()
    with clock.measure("preparing"):
        prepared = prepare(scan, settings.preprocess)
    with clock.measure("scoring"):
        if way == "MONAI float32":
            nll, tiles = monai_scores(prepared, loaded.networks)
            kept = smoothed(pooled(nll, pool), settings.smooth / settings.voxel)
            stride = (1, 1, 1)
        else:
            how = ScreenSettings(overlap=OVERLAP, device="cpu", reduced=way == "engine")
            scored = score(prepared, loaded.networks, how, torch.device("cpu"))
            nll, tiles = scored.scores, scored.tiles
            kept, stride = nll, pool
    with clock.measure("restoring"):
        restore(nll, pooled_affine(prepared.affine, stride), prepared, scan)
    took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - worked}
    np.save(to, kept)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1e9 if sys.platform == "darwin" else 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return took | {"stages": clock.seconds, "tiles": tiles, "memory": memory}


def agreement(maps: dict[str, np.ndarray]) -> dict[str, Any]:
    """How well the maps of all ways agree inside the body."""
    from scipy.stats import rankdata

    body = np.isfinite(maps["MONAI float32"])
    assert all(np.array_equal(body, np.isfinite(nll)) for nll in maps.values()), "same voxels"
    inside = {way: nll[body] for way, nll in maps.items()}
    engine, monai = inside["engine"], inside["MONAI float32"]
    exact = inside.get("engine float32", np.float32("nan"))
    return {
        "spread": float(monai.std()),
        "pearson": float(np.corrcoef(engine, monai)[0, 1]),
        "spearman": float(np.corrcoef(rankdata(engine), rankdata(monai))[0, 1]),
        "difference": float(np.abs(engine - monai).max()),
        "exact": float(np.abs(exact - monai).max()),
    }


def write_random_model(folder: Path) -> dict[str, Any]:
    """Write a model of ordinary size whose weights are random."""
    import torch

    from ctscreener.calibration import Calibration
    from ctscreener.conditions import ConditionSettings
    from ctscreener.model import ModelSettings, Networks, save_model
    from ctscreener.networks import NetworkSettings

    torch.manual_seed(0)
    learned = NetworkSettings(channels=(16, 32, 64), stem=(2, 2, 2), inputs=2)
    networks = Networks(ModelSettings(condition=ConditionSettings(sincos=4, learned=learned)))
    # Random couplings too, which start out as the identity.
    for name, weights in networks.density.named_parameters():
        if name.endswith("network.4.weight"):
            torch.nn.init.normal_(weights, std=0.02)
    reference = np.random.default_rng(0).gamma(2.0, 20.0, 10_000)
    save_model(folder, networks, Calibration.fit(reference), {}, "Random weights.")
    return {}


def show(runs: list[dict[str, Any]], threads: int) -> None:
    """Print how long, how much memory, and how alike."""
    from training.page.written import markdown

    rows = [
        [
            run["scan"],
            way,
            f"{run[way]['seconds']:.1f}",
            f"{run[way]['cpu']:.1f}",
            *(f"{run[way]['stages'][stage]:.1f}" for stage in ("preparing", "scoring")),
            f"{run[way]['stages']['restoring']:.1f}",
            f"{run[way]['tiles']}",
            f"{run[way]['stages']['scoring'] / run[way]['tiles']:.2f}",
            f"{run[way]['memory']:.2f}",
            f"{run['MONAI float32']['seconds'] / run[way]['seconds']:.1f}",
        ]
        for run in runs
        for way in WAYS
        if way in run
    ]
    header = [
        "scan",
        "way",
        "s",
        "CPU s",
        "prepare",
        "score",
        "restore",
        "tiles",
        "s a tile",
        "GB",
    ]
    print(f"{threads} threads; `times` is MONAI's seconds divided by these.\n")
    print(markdown([*header, "times"], rows))
    print("nll against MONAI's inside the body, in nats; `spread` is its standard deviation.\n")
    names = ("spread", "pearson", "spearman", "difference", "exact")
    alike = [[run["scan"], *(f"{run[name]:.3g}" for name in names)] for run in runs]
    heads = ["scan", "spread", "Pearson", "Spearman", "largest difference", "in float32"]
    print(markdown(heads, alike), end="")


if __name__ == "__main__":
    main()
