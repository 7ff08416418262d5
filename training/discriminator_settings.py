"""What the stage that trains a discriminator and a density is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings, Source
from ctscreener.model_limits import check_limits
from ctscreener.settings import to_json
from training.data.drawing import DrawSettings
from training.fit_density import FitDensitySettings
from training.fit_heads import FitSettings

SOURCES = (
    Source(0),
    Source(1),
    Source(2),
    Source(1, cube=3),
    Source(1, cube=7),
    Source(0, half=True),
    Source(1, half=True),
)
"""Maps that are read, as far as the encoder has them."""


@dataclass(frozen=True)
class DiscriminatorSettings:
    """Train a discriminator on synthetic anomalies, and a density, on the maps of an encoder."""

    store: Path = Path("store_plain")
    """Folder that the stage `prepare --plain` wrote."""
    encoder: Path = Path("runs/encoder")
    """Folder that the stage `encoder` wrote."""
    run: Path = Path("runs/discriminator")
    """Run folder; a run that was stopped goes on."""
    rows_at: Path | None = None
    """Folder for rows and masked views, which runs may share; in the run folder where none is
    given."""
    exclude: tuple[str, ...] = ()
    """Names of scans to leave out; `*` stands for any text."""
    patient: str = "(.*)"
    """Regular expression whose first group is the patient in a scan's name, where its data set
    does not tell; scans that are nearly the same count as one patient's."""
    folds: int = 4
    """Groups of patients; networks are trained on all groups but one."""
    seeds: int = 2
    """Networks trained for each group that is left out."""
    draw: DrawSettings = field(default_factory=DrawSettings)
    """Which rows are drawn, of what."""
    fit: FitSettings = field(default_factory=FitSettings)
    """How a network is trained."""
    density: GaussianSettings = field(default_factory=GaussianSettings)
    """The density."""
    fit_density: FitDensitySettings = field(default_factory=FitDensitySettings)
    """How a density with conditions, or a flow, is fitted."""
    shifts: Literal[1, 2, 4] = 2
    """Shifts of the encoder's coarser maps that scores are averaged over, in a screening too."""
    seed: int = 0
    """Decides the networks."""


def check_density(density: GaussianSettings, sources: Sequence[Source]) -> None:
    """Refuse a density that no model can have, or that reads maps of which no rows are drawn.

    Raises:
        InputError: `discriminator.density`.
    """
    try:
        check_limits(to_json(density))
    except ValueError as error:
        raise InputError(
            "discriminator.density",
            f"Expected a density that a model can have, found that {error}.",
            "Give another value to that flag of --density.",
        ) from error
    if unknown := [source.name for source in density.sources if source not in sources]:
        raise InputError(
            "discriminator.density",
            f"Expected a density that reads some of {', '.join(s.name for s in sources)}, found "
            f"{', '.join(unknown)}.",
            "Give other --density.sources, or an encoder with more stages.",
        )
