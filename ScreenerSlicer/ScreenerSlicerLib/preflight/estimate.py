"""How long a run will take and what memory it needs, by constants that were measured."""

import numpy as np

from ctscreener.scan import Scan
from ScreenerSlicerLib.preflight.conditions import Conditions
from ScreenerSlicerLib.preflight.hardware import Device
from ScreenerSlicerLib.preflight.models import ModelFolder, Whole

# Measured with the engine from 6 to 79 million voxels: 0.8 GB and 8 bytes a voxel, and a margin.
ENGINE_BYTES, ENGINE_BYTES_A_VOXEL = 0.9e9, 10
# The map and its node in Slicer.
SLICER_BYTES_A_VOXEL = 8
GPU_MB = 1500
# On a machine that has not screened yet. A tile of a model of 4 MB took 1.2 s of one core.
CPU_SECONDS, FEWEST_CORES, MOST_CORES = 1.2, 1, 8
GPU_SECONDS = {"cuda": 0.05, "mps": 0.2}
USUAL_MODEL_BYTES = 4e6
# A tile of a distilled model took half of what its teacher's took; with a margin.
DISTILLED_SHARE = 0.6
# A whole-volume model: 2e11 multiplications took 1.5 to 3 s of two cores.
CPU_SECONDS_A_BILLION = 0.025
GPU_SECONDS_A_BILLION = {"cuda": 0.0005, "mps": 0.004}
# A slow processor, or one that others use as well, takes so many times as long.
GUESS_SPREAD = 5
START_SECONDS, SECONDS_A_VOXEL = 6.0, 2.5e-7


def timing_key(model: ModelFolder, device: Device) -> str:
    """Name a model on a device, to remember what a tile takes there."""
    card = device.gpu.name if device.gpu else device.name
    return f"{model.sha256[:12]} on {card}"


def estimate(
    count: int, scan: Scan, model: ModelFolder, device: Device, conditions: Conditions
) -> tuple[float, bool]:
    """Estimate how long a run takes.

    Returns:
        Seconds, and whether a tile was ever timed on this device.
    """
    known = (conditions.seconds_a_tile or {}).get(timing_key(model, device))
    rest = START_SECONDS + SECONDS_A_VOXEL * scan.hu.size
    if known is not None:
        return rest + count * known, True
    cores = conditions.hardware.cores if conditions.hardware else FEWEST_CORES
    on_cpu = CPU_SECONDS / min(max(cores, FEWEST_CORES), MOST_CORES)
    guess = GPU_SECONDS.get(device.name.partition(":")[0], on_cpu)
    usual = max(1.0, model.size_bytes / USUAL_MODEL_BYTES)
    return rest + count * guess * (DISTILLED_SHARE if model.teacher else usual), False


def estimate_whole(
    points: np.ndarray, scan: Scan, model: Whole, device: Device, conditions: Conditions
) -> float:
    """Estimate the seconds of a run of a model that sees the whole body, also for a region."""
    sides = np.ptp(points[:, ::-1], axis=0) / model.spacing
    billions = float(sides.prod()) * model.work / 1e9
    cores = conditions.hardware.cores if conditions.hardware else FEWEST_CORES
    on_cpu = CPU_SECONDS_A_BILLION / min(max(cores, FEWEST_CORES), MOST_CORES)
    rest = START_SECONDS + SECONDS_A_VOXEL * scan.hu.size
    return rest + billions * GPU_SECONDS_A_BILLION.get(device.name.partition(":")[0], on_cpu)


def memory_needed(scan: Scan) -> float:
    """Estimate the memory of the engine's process and of the result in Slicer, in bytes."""
    return ENGINE_BYTES + (ENGINE_BYTES_A_VOXEL + SLICER_BYTES_A_VOXEL) * scan.hu.size


def duration(seconds: float) -> str:
    """Write an estimate as roughly as it is known.

    Example:
        >>> duration(8), duration(47), duration(100), duration(600)
        ('10 s', '50 s', '1.5 min', '10 min')
    """
    if seconds < 55:
        return f"{max(1, round(seconds / 10)) * 10} s"
    minutes = seconds / 60
    return f"{round(2 * minutes) / 2:g} min" if minutes < 5 else f"{minutes:.0f} min"
