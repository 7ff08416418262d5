"""Progress: one fraction that never goes back, and seconds that are left."""

import pytest

from ScreenerSlicerLib.process.timeline import WEIGHTS, Timeline


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_stages_lead_from_nothing_to_the_end(clock: Clock) -> None:
    timeline = Timeline(clock)
    fractions = [timeline.at(s, done, 4).fraction for s in WEIGHTS for done in range(5)]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert len(set(fractions)) == 4 * len(WEIGHTS) + 1


def test_what_begins_anew_does_not_go_back(clock: Clock) -> None:
    timeline = Timeline(clock)
    before = timeline.at("scoring", 9, 10).fraction
    assert timeline.at("scoring", 0, 80).fraction == before
    assert timeline.at("an unknown stage", 1, 1).fraction == before


def test_what_is_left_is_what_tiles_and_preparing_took(clock: Clock) -> None:
    timeline = Timeline(clock)
    assert timeline.at("preparing", 0, 1).seconds_left is None
    clock.now = 12.0
    assert timeline.at("scoring", 0, 10).seconds_left is None
    clock.now = 15.0
    assert timeline.at("scoring", 1, 10).seconds_left is None
    clock.now = 18.0
    after = WEIGHTS["restoring"] + WEIGHTS["findings"] + WEIGHTS["writing"]
    after += WEIGHTS["taking over"]
    rest = 12.0 * after / WEIGHTS["preparing"]
    left = timeline.at("scoring", 2, 10).seconds_left
    assert left == pytest.approx(8 * 3.0 + rest)
    clock.now = 42.0
    assert timeline.at("scoring", 10, 10).seconds_left == pytest.approx(rest)
    assert timeline.seconds_a_step == pytest.approx(3.0)
    assert timeline.at("taking over", 0, 1).seconds_left == 0.0


def test_smaller_tiles_are_timed_anew(clock: Clock) -> None:
    timeline = Timeline(clock)
    timeline.at("scoring", 0, 10)
    clock.now = 100.0
    timeline.at("scoring", 2, 10)
    timeline.at("scoring", 0, 80)
    clock.now = 104.0
    timeline.at("scoring", 4, 80)
    assert timeline.seconds_a_step == pytest.approx(1.0)
