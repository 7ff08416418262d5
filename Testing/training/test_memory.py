"""Memory is looked at before the first step, and what is advised fits."""

import re

import pytest
import torch

from ctscreener.errors import InputError
from training.data.crops import CropSettings
from training.data.views import pairs_need
from training.loop.memory import GIB, Need, check_memory, refuse_too_large
from training.presets import DENSITY

NEED = Need(8, lambda units, device: (torch.zeros(units),), lambda units: f"--crops.pairs {units}")


@pytest.mark.parametrize("fixed", [0.5, 4, 9.9])
@pytest.mark.parametrize("each", [0.1, 1.3, 7])
@pytest.mark.parametrize("room", [3, 10, 80])
def test_what_is_refused_does_not_fit_and_what_is_advised_does(
    fixed: float, each: float, room: float
) -> None:
    def peak(units: int) -> float:
        return (fixed + each * units) * GIB

    def check() -> None:
        refuse_too_large(peak, NEED, room * GIB, "a card of 80 GiB")

    if peak(8) <= room * GIB:
        check()
        return
    with pytest.raises(InputError, match="--crops.pairs 8 needs about") as raised:
        check()
    advised = re.search(r"Use --crops.pairs (\d+)", str(raised.value))
    if peak(1) > room * GIB:
        assert advised is None
        assert "smaller --crops.size" in str(raised.value)
    else:
        assert advised
        units = int(advised[1])
        assert peak(units) <= room * GIB < peak(units + 1)


def test_a_step_that_runs_out_of_memory_twice_over_is_refused() -> None:
    def peak(units: int) -> float:
        return GIB if units == 1 else float("inf")

    with pytest.raises(InputError, match="Use --crops.pairs 1, or a larger card"):
        refuse_too_large(peak, NEED, 10 * GIB, "a card")


def test_a_processor_is_not_asked() -> None:
    def trial(batch: tuple[torch.Tensor, ...]) -> None:
        raise AssertionError("a step was tried")

    check_memory(trial, NEED, torch.device("cpu"), 0)


def test_fewer_pairs_keep_the_voxels_of_each() -> None:
    seen: list[CropSettings] = []

    def draw(index: int, crops: CropSettings) -> None:
        seen.append(crops)

    settings = CropSettings(pairs=8, positions=8192)
    need = pairs_need(settings, draw, lambda views, device: ())  # pyright: ignore[reportArgumentType]
    need.batch(3, torch.device("cpu"))
    assert (seen[0].pairs, seen[0].positions) == (3, 3072)
    assert need.flags(3) == "--crops.pairs 3 --crops.positions 3072"
    assert need.units == 8
    assert DENSITY["paper"].per_step > 1
