"""How rows are drawn: of what, how often, how long; and how far that went."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from ctscreener.errors import InputError
from training.data.rows import RowSettings
from training.workers import check_workers


@dataclass(frozen=True)
class DrawSettings:
    """What rows are drawn from."""

    inserted: tuple[Path, ...] = ()
    """Folders of the stage `insert`: lesions of its families beside those drawn here. Of scans that
    are not in the store, or excluded, none is used."""
    beside_inserted: int = 2000
    """Rows of such a scan that are used of those far from its lesions: the draws of its host have
    more of the same tissue."""
    donors: int = 24
    """Scans in memory that foreign patches are taken from, of all folds together."""
    rows: RowSettings = field(default_factory=RowSettings)
    """Which rows are drawn."""
    seed: int = 0
    """Decides the anomalies."""
    workers: int = 1
    """Processes that corrupt scans ahead of the encoder; 1 for none beside this one."""
    max_minutes: float | None = None
    """Minutes for all draws; each scan gets the same share, and one draw at least."""

    def __post_init__(self) -> None:
        """Refuse minutes that are no time, and fewer rows or processes than none."""
        check_workers(self.workers)
        if self.beside_inserted < 0:
            raise InputError(
                "discriminator.beside",
                f"Expected --draw.beside-inserted of 0 or more, found {self.beside_inserted}.",
                "Give another.",
            )
        if self.max_minutes is not None and not self.max_minutes >= 0:
            raise InputError(
                "discriminator.minutes",
                f"Expected --draw.max-minutes of 0 or more, found {self.max_minutes:g}.",
                "Give another, or none for no limit.",
            )


@dataclass(frozen=True)
class Budget:
    """How long drawing may take.

    Arguments:
        minutes: Of all draws; None for no limit.
        began: When the first began, by `time.monotonic`.
    """

    minutes: float | None
    began: float = field(default_factory=time.monotonic)

    def is_up(self, share: float) -> bool:
        """Whether a share of the time is over, 0 to 1."""
        return self.minutes is not None and self.seconds() >= share * 60 * self.minutes

    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began


@dataclass(frozen=True)
class Drawing:
    """How many draws of anomalies there are.

    Arguments:
        made: Draws whose rows are kept.
        asked: Draws that the settings ask for.
        seconds: That drawing, or reading, took.
    """

    made: int
    asked: int
    seconds: float


def drawing_of(settings: DrawSettings, made: int, asked: int, seconds: float) -> Drawing:
    """Say where fewer draws were made than asked for."""
    if made < asked:
        print(
            f"discriminator: {made} of {asked} draws were made, as the "
            f"{settings.max_minutes:g} minutes of --draw.max-minutes were up",
            flush=True,
        )
    return Drawing(made, asked, seconds)
