"""The schedule: the rate rises over a warm-up and falls to zero, by steps or by the clock."""

import pytest

from ctscreener.errors import InputError
from training.loop.loop import LoopSettings
from training.loop.schedule import Clock


@pytest.mark.parametrize(("decay", "middle"), [("linear", 0.75), ("cosine", 0.853553)])
def test_the_rate_rises_over_the_warm_up_and_falls_to_zero(decay: str, middle: float) -> None:
    clock = Clock(LoopSettings(steps=110, warmup=10, decay=decay))  # pyright: ignore[reportArgumentType]
    found = []
    for clock.step in (0, 4, 9, 35, 110):
        found.append(clock.factor())
    assert found == pytest.approx([0.1, 0.5, 1.0, middle, 0.0], abs=1e-6)


def test_by_the_clock_the_rate_falls_with_the_time_of_all_sessions() -> None:
    clock = Clock(LoopSettings(schedule="minutes", max_minutes=10, decay="linear", warmup=1))
    clock.resume({"step": 50, "seconds": 450})
    assert clock.factor() == pytest.approx(0.25, abs=1e-3)
    assert clock.share() == pytest.approx(0.75, abs=1e-3)
    assert not clock.ended()
    clock.resume({"step": 50, "seconds": 600})
    assert clock.ended()
    with pytest.raises(InputError, match="max-minutes"):
        Clock(LoopSettings(schedule="minutes"))


@pytest.mark.parametrize(("steps", "whole"), [(1000, 100), (100, 20)])
def test_a_warm_up_takes_no_more_than_a_fifth_of_the_steps(steps: int, whole: int) -> None:
    clock = Clock(LoopSettings(steps=steps, warmup=100, decay="linear"))
    clock.step = whole - 1
    assert clock.factor() == pytest.approx(1.0, abs=0.02)
    clock.step = whole // 2 - 1
    assert clock.factor() == pytest.approx(0.5, abs=0.02)


def test_by_the_clock_a_warm_up_takes_no_more_than_a_tenth_of_the_time() -> None:
    clock = Clock(LoopSettings(schedule="minutes", max_minutes=10, warmup=10_000))
    clock.resume({"step": 7, "seconds": 30})
    assert clock.factor() == pytest.approx(0.5, abs=0.02)
    clock.resume({"step": 7, "seconds": 60})
    assert clock.factor() > 0.95
