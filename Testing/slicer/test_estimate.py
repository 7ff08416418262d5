"""Estimates before a run: near what was measured, and written as roughly as they are known."""

import numpy as np

from ctscreener.scan import Scan
from ScreenerSlicerLib.preflight.conditions import Conditions
from ScreenerSlicerLib.preflight.estimate import START_SECONDS, duration, estimate_whole
from ScreenerSlicerLib.preflight.hardware import Device, Hardware
from ScreenerSlicerLib.preflight.models import Whole, encoder_work

CPU = Device("cpu", "CPU, 2 cores", "Running on the CPU.")
CONDITIONS = Conditions(device=CPU, hardware=Hardware(cores=2, memory_mb=16000, free_mb=8000))


def test_a_chest_takes_a_model_of_the_preview_s_size_seconds() -> None:
    """Measured: 1.5 to 3 s on two cores for 110 x 240 x 220 voxels of 3 x 1.5 x 1.5 mm."""
    spacing = np.array([3.0, 1.5, 1.5])
    points = np.array([[0.0, 0, 0], (np.array([110, 240, 220]) * spacing)[::-1]])
    nothing = Scan(np.zeros((0, 1, 1), np.int16), np.eye(4))
    model = Whole((3.0, 1.5, 1.5), encoder_work([(64, 3), (128, 8)]))
    seconds = estimate_whole(points, nothing, model, CPU, CONDITIONS) - START_SECONDS
    assert 1.5 < seconds < 3


def test_durations_are_as_rough_as_they_are_known() -> None:
    assert [duration(s) for s in (1, 14, 58, 95, 299, 3000)] == [
        *("10 s", "10 s", "1 min", "1.5 min", "5 min", "50 min"),
    ]
