"""A run of the stage `discriminator` that takes a second."""

from dataclasses import replace
from pathlib import Path

from ctscreener.heads import GaussianSettings, Source
from training.data.drawing import DrawSettings
from training.data.rows import RowSettings
from training.discriminator_settings import DiscriminatorSettings
from training.fit_heads import FitSettings
from training.synthetic.corruption import CorruptionSettings

PATIENTS = {"a": 1, "b": 2, "c": 3, "d": 4}
SETTINGS = DiscriminatorSettings(
    folds=2,
    seeds=2,
    draw=DrawSettings(
        donors=4,
        rows=RowSettings(2, 20, 60, 0.5, CorruptionSettings(fewest=3, radius_mm=(3.0, 6.0))),
    ),
    fit=FitSettings(hidden=4, epochs=1, batch=64),
    density=GaussianSettings((Source(1),), 6),
)


def settings_for(folder: Path, run: str = "run", store: str = "store") -> DiscriminatorSettings:
    """The same on the store and the encoder of a folder."""
    return replace(SETTINGS, store=folder / store, encoder=folder / "encoder", run=folder / run)
