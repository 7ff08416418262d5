"""Benchmark: memory and seconds of screening scans of 250 to 2,000 slices, side by side.

    python Testing/benchmarks/long_scan.py [--slices 250 500 1000 2000] [--side 512] [--model tiny]

Each size is a made-up scan, int16 in an uncompressed MetaImage, that the command `screen` reads and
screens in a process of its own, whose peak memory the system then tells. The model `tiny` has random
weights and takes next to no time or memory, so that what is measured is all that happens around
the networks; any other model may be named. Seconds of the processor are those of all threads and
processes of a screening: on a machine that others use they tell more than those of the clock.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
SPACING = (0.8, 0.75, 0.75)
GIB = 2**30
TINY = """
import sys
from pathlib import Path
import numpy as np
import torch
from ctscreener.calibration import Calibration
from ctscreener.density import DensitySettings
from ctscreener.files import read_scan
from ctscreener.model import ModelSettings, Networks, save_model
from ctscreener.networks import NetworkSettings
from ctscreener.preprocess import prepare
from ctscreener.screening import ScreenSettings, score
torch.manual_seed(0)
settings = ModelSettings(
    descriptor=NetworkSettings(channels=(8,), out=4),
    density=DensitySettings(head="gaussian"),
    tile=(32, 96, 96),
)
networks, prepared = Networks(settings), prepare(read_scan(Path(sys.argv[2])), settings.preprocess)
how = ScreenSettings(overlap=float(sys.argv[3]))
nll = score(prepared, networks, how, torch.device("cpu")).nll
scale = Calibration.fit(nll[np.isfinite(nll)])
save_model(Path(sys.argv[1]), networks, scale, {}, "# Tiny", scale)
"""


def main() -> None:
    """Screen one scan of each size, and print a table."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--slices", nargs="+", type=int, default=[250, 500, 1000, 2000])
    flags.add_argument("--side", type=int, default=512, help="voxels of a slice along each side")
    flags.add_argument("--model", default="tiny", help="name or folder; `tiny` has random weights")
    flags.add_argument("--overlap", default="0")
    options = flags.parse_args()
    print(
        "| slices | million voxels | peak GiB | bytes a voxel | seconds | CPU | a slice | stages |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model
        if model == "tiny":
            model = str(folder / "tiny")
            # Rarity refers to a scan of the same kind, so that little of a scan is rare.
            command = [
                sys.executable,
                "-c",
                TINY,
                model,
                str(write_scan(folder / "a.mha", 120, options.side)),
            ]
            subprocess.run([*command, options.overlap], check=True, env=environment())
        for slices in options.slices:
            scan = write_scan(folder / "scan.mha", slices, options.side)
            took, record = screened(scan, folder / str(slices), model, options.overlap)
            voxels = slices * options.side**2
            stages = ", ".join(f"{stage} {time:.0f}" for stage, time in record.items())
            print(
                f"| {slices} | {voxels / 1e6:.0f} | {took.peak / GIB:.2f} | {took.peak / voxels:.1f} "
                f"| {took.seconds:.0f} | {took.cpu:.0f} | {took.cpu / slices:.2f} | {stages} |",
                flush=True,
            )


def environment() -> dict[str, str]:
    """Variables of the children."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "ScreenerSlicer"), str(ROOT)])}


def write_scan(path: Path, slices: int, side: int) -> Path:
    """Write a made-up trunk slice by slice, so that this process stays small.

    Arguments:
        path: An `.mha` file.
        slices: Voxels from foot to head.
        side: Voxels along the other two axes.
    """
    depth, height, width = SPACING
    y, x = np.mgrid[:side, :side] - side / 2
    radius = np.hypot(x / (0.4 * side), y / (0.3 * side))
    lungs = np.hypot((np.abs(x) - 0.18 * side) / (0.12 * side), y / (0.2 * side))
    noise = np.random.default_rng(0).normal(0, 15, (side, side))
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = -192 -192 0\n"
        f"AnatomicalOrientation = RAI\nElementSpacing = {width} {height} {depth}\n"
        f"DimSize = {side} {side} {slices}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    with path.open("wb") as file:
        file.write(header.encode())
        for number in range(slices):
            hu = np.where(radius < 1, 40.0 + 30 * np.sin(x / 9 + number / 11), -1000)
            reach = 1 - np.clip(abs((number * depth % 700) - 350) / 300, 0, 1) ** 2
            hu[lungs < reach] = -850
            # A dense lump every 12 cm, so that there is something to find.
            if number * depth % 120 < 12:
                hu[np.hypot(x - 0.1 * side, y - 0.1 * side) < 8] = 900
            file.write((hu + np.roll(noise, 7 * number)).astype("<i2").tobytes())
    return path


@dataclass(frozen=True)
class Took:
    """What a screening took.

    Arguments:
        peak: Bytes that its largest process held at once.
        seconds: By the clock.
        cpu: Seconds of the processor, over all threads and processes.
    """

    peak: int
    seconds: float
    cpu: float


def screened(scan: Path, out: Path, model: str, overlap: str) -> tuple[Took, dict[str, float]]:
    """Screen a scan in a process of its own; what it took, and seconds by stage."""
    command = [sys.executable, "-m", "ctscreener", "screen", str(scan), "--out", str(out)]
    command += ["--model", model, "--device", "cpu", "--overlap", overlap]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"screen ended with {os.waitstatus_to_exitcode(status)}")
    record = json.loads((out / "findings.json").read_text())
    scale = 1 if sys.platform == "darwin" else 1024
    took = Took(
        usage.ru_maxrss * scale,
        time.perf_counter() - began,
        usage.ru_utime + usage.ru_stime,
    )
    return took, record["provenance"]["seconds"]


if __name__ == "__main__":
    main()
