"""Where a run is: stages and steps as one fraction, and the seconds that are left."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

Weights = Mapping[str, float]

WEIGHTS: Weights = {
    "handing over": 2.0,
    "starting": 8.0,
    "reading": 2.0,
    "preparing": 12.0,
    "scoring": 64.0,
    "restoring": 3.0,
    "findings": 1.0,
    "writing": 4.0,
    "taking over": 1.0,
}
"""The stages in their order, each with its usual share of the time; the first two and the last
are Slicer's, the others the engine's."""
_FEWEST_STEPS = 2


@dataclass(frozen=True)
class JobProgress:
    """Where a run is.

    Arguments:
        stage: What is being done, a key of `WEIGHTS` or of those of another kind of work.
        done: Steps of the stage that are behind.
        total: Steps of the stage.
        fraction: Of the whole run, 0 to 1; it never goes back.
        seconds_left: Of the whole run; None as long as it is not known.
        notice: What is not done as it was asked for, such as smaller tiles for want of memory.
    """

    stage: str
    done: int
    total: int
    fraction: float = 0.0
    seconds_left: float | None = None
    notice: str = ""


@final
class Timeline:
    """What has passed of a run.

    Arguments:
        clock: Seconds, from any origin.
        weights: The stages in their order, each with its usual share of the time.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, weights: Weights = WEIGHTS
    ) -> None:
        self._clock = clock
        self._weights = weights
        self._stage = ""
        self._stage_began = clock()
        self._seconds: dict[str, float] = {}
        self._fraction = 0.0
        self.seconds_a_step: float | None = None

    def at(self, stage: str, done: int, total: int, notice: str = "") -> JobProgress:
        """Say what it means that a stage has come so far.

        Arguments:
            stage: Its name; an unknown one moves nothing.
            done: Steps behind.
            total: Its steps.
            notice: Passed on.
        """
        now = self._clock()
        # Steps that begin anew, with smaller tiles, are timed anew.
        if stage != self._stage or done == 0:
            self._seconds[self._stage] = now - self._stage_began
            self._stage, self._stage_began = stage, now
        part = done / total if total else 1.0
        behind = self._before(stage) + self._weights.get(stage, 0.0) * part
        self._fraction = max(self._fraction, behind / sum(self._weights.values()))
        left = self._left(now, stage, done, total)
        return JobProgress(stage, done, total, self._fraction, left, notice)

    def _left(self, now: float, stage: str, done: int, total: int) -> float | None:
        """Seconds left: the tiles by what one took, the rest by what preparing took."""
        if stage == "scoring" and done >= _FEWEST_STEPS:
            self.seconds_a_step = (now - self._stage_began) / done
        if self.seconds_a_step is None or stage not in self._weights:
            return None
        after = sum(self._weights.values()) - self._before(stage) - self._weights[stage]
        rest = self._seconds.get("preparing", 0.0) * after / self._weights["preparing"]
        steps = (total - done) * self.seconds_a_step if stage == "scoring" else 0.0
        return rest + steps

    def _before(self, stage: str) -> float:
        """The weight of all stages before one; for an unknown stage, none."""
        names = list(self._weights)
        before = names[: names.index(stage)] if stage in names else []
        return sum(self._weights[name] for name in before)
