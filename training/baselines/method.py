"""What a rival is: its settings, what it builds, and the phases that train it.

Each rival is one file that ends in a `METHOD`, and one line in `training.baselines.methods`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from torch import nn

from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Scan
from ctscreener.scorer import AnyScorer
from training.data.sources import find_sources
from training.data.store import Store
from training.flags import FLAT
from training.loop.schedule import LoopSettings
from training.loop.task import Task


@dataclass(frozen=True)
class RunSettings:
    """Which scans a rival learns from, and where it is kept."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote, or that is filled with `--scans`."""
    run: Path = Path("runs/baseline")
    """Run folder; a training that stopped goes on from here. `fitted` in it is the result."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    only: tuple[str, ...] = ("*",)
    """Names of the scans to learn from; `*` stands for any text."""
    limit: int | None = None
    """Scans at most, the first by name."""
    in_memory: bool = False
    """Hold the whole store unpacked in memory."""
    scans: tuple[Path, ...] = ()
    """Scans, folders or data sets (NAME:FOLDER) to prepare into the store first, as the stage
    `prepare` does by itself; the rival then learns from these alone."""
    seconds: float | None = None
    """Seconds of training, all phases together and whatever the steps: for comparisons at equal
    cost. The learning rate falls over them."""

    def __post_init__(self) -> None:
        """Raise where there is no time to train in."""
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise InputError(
                "baseline.seconds",
                f"Expected --seconds above 0, found {self.seconds}.",
                "Give another number, or leave it out to train for all steps.",
            )

    def open(self) -> Store:
        """Open the store with these scans alone.

        Raises:
            InputError: It cannot be used, or no scan is left.
        """
        store = Store(self.store, self.exclude)
        given = {one.name for one in find_sources(self.scans)} if self.scans else set(store.names)
        kept = [n for n in store.names if n in given and any(fnmatch(n, p) for p in self.only)]
        return store.alone(kept[: self.limit], self.in_memory)


@dataclass(frozen=True)
class RivalSettings:
    """What the settings of every rival have."""

    data: Annotated[RunSettings, FLAT] = field(default_factory=RunSettings)
    """Which scans, and where to."""

    @property
    def seed(self) -> int:
        """Decides every draw."""
        return 0


@dataclass(frozen=True)
class TrainedSettings(RivalSettings):
    """What the settings of a rival that is trained by gradients have."""

    loop: Annotated[LoopSettings, FLAT] = field(default_factory=LoopSettings)
    """How long, how fast and on what to train."""

    @property
    def seed(self) -> int:
        """Decides the initial weights and every draw."""
        return self.loop.seed


class WholeScan(nn.Module, ABC):
    """A rival that scores a scan as it is, not tiles of a prepared one."""

    @abstractmethod
    def map(self, scan: Scan, body: np.ndarray) -> np.ndarray:
        """Score a scan.

        Arguments:
            scan: The scan, in HU.
            body: Which voxels to score, bool, in the scan's shape.

        Returns:
            float32 on the scan's grid, higher is rarer, NaN outside of `body`.
        """


Rival = AnyScorer | WholeScan
"""What scores; its weights and buffers are all that its folder keeps beside the settings."""
S = TypeVar("S", bound=RivalSettings)
ENDLESS = 10**9
"""Steps that no budget reaches."""


@dataclass(frozen=True)
class Phase:
    """One training of a rival; its averaged weights are in the objective when the next begins.

    Arguments:
        name: A folder of this name in the run folder holds it.
        task: What is trained; the modules of its objective are those of the rival.
        loop: How long and how fast.
        share: Of the seconds of training, where there is a budget; those of all phases make 1.
    """

    name: str
    task: Task[Any]
    loop: LoopSettings
    share: float = 1.0

    def within(self, seconds: float | None) -> LoopSettings:
        """How long and how fast, within a budget of seconds for all phases; None for the steps."""
        if seconds is None:
            return self.loop
        minutes = self.share * seconds / 60
        return replace(self.loop, steps=ENDLESS, schedule="minutes", max_minutes=minutes)


def no_phases(settings: RivalSettings, rival: Rival, store: Store) -> Iterator[Phase]:
    """Train nothing."""
    return iter(())


def nothing(settings: RivalSettings, rival: Rival, store: Store) -> None:
    """Fit nothing after the training."""


def as_it_is(settings: Any) -> Any:  # noqa: ANN401 - the settings of any rival
    """Complete nothing."""
    return settings


def equalized(settings: RivalSettings) -> bool:
    """See scans as Screener does, with equalized grey values."""
    return False


def no_files(settings: RivalSettings) -> Mapping[str, Path]:
    """Read nothing beside the store."""
    return {}


@dataclass(frozen=True)
class Method(Generic[S]):
    """A rival.

    Arguments:
        title: What it is, with its paper, in one line.
        settings: The class of its settings.
        presets: Settings of `tiny` (two cores, minutes), `small` (one graphics card, an hour) and
            `paper`, as far as there are any.
        build: Makes it without weights of any worth, for scans prepared in some way.
        phases: Its trainings in order; a generator, so that one may rest on the one before.
        settle: Fits what is not trained by gradients, such as a bank or a Gaussian.
        files: What it reads beside the store, such as pretrained weights, by what they are; their
            hashes are kept.
        completed: Adds to settings what only files say, such as the sizes of a network, so that a
            fitted rival can be loaded without them.
        plain: Whether its tiles are of a store in HU; a screening then gives it HU over 255.
    """

    title: str
    settings: type[S]
    presets: Mapping[str, S]
    build: Callable[[S, PreprocessSettings], Rival]
    phases: Callable[[S, Any, Store], Iterator[Phase]] = no_phases
    settle: Callable[[S, Any, Store], None] = nothing
    files: Callable[[S], Mapping[str, Path]] = no_files
    completed: Callable[[S], S] = as_it_is
    plain: Callable[[S], bool] = equalized

    def preset(self, name: str) -> S:
        """The settings of a preset.

        Raises:
            InputError: `baseline.preset`.
        """
        if name in self.presets:
            return self.presets[name]
        if not self.presets:
            return self.settings()
        raise InputError(
            "baseline.preset",
            f"Expected a preset that this rival has, one of {', '.join(self.presets)}; found "
            f"{name}.",
            "Use another --preset.",
        )
