"""All stages in one go, from scans to a model folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from training import condition, density, descriptor, export, prepare
from training.descriptor import DescriptorSettings
from training.loop import LoopSettings
from training.phantoms import stage as phantoms
from training.presets import CONDITION, DENSITY, DESCRIPTOR


@dataclass(frozen=True)
class EverythingSettings:
    """Go from scans to a model folder; what an earlier call has finished is kept."""

    scans: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Scans, DICOM folders or folders of such; without any, phantoms are made."""
    out: Path = Path("runs/all")
    """Folder for phantoms, store, runs and model."""
    phantoms: int = 40
    """Phantoms to make where no scans are given."""
    steps: int | None = None
    """Steps of each network in place of the preset's."""
    workers: int = 2
    """Processes that make phantoms and prepare scans."""
    seed: int = 0
    """Decides everything that is drawn."""


def main(settings: EverythingSettings, preset: str) -> None:
    """Run the stages one after the other, under one folder.

    Arguments:
        settings: All settings.
        preset: Which settings the networks have: `tiny`, `small` or `paper`.
    """
    out, scans = settings.out, settings.scans
    if not scans:
        scans = (out / "phantoms",)
        phantoms.main(
            phantoms.PhantomSettings(
                out / "phantoms", settings.phantoms, seed=settings.seed, workers=settings.workers
            )
        )
    store = out / "store"
    prepare.main(prepare.PrepareSettings(scans, store, settings.workers))
    plain: DescriptorSettings = DESCRIPTOR[preset]
    described = replace(
        plain, store=store, run=out / "descriptor", loop=_loop(plain.loop, settings)
    )
    descriptor.main(described)
    masked = CONDITION[preset]
    conditioned = replace(
        masked, store=store, run=out / "condition", loop=_loop(masked.loop, settings)
    )
    condition.main(conditioned)
    given = DENSITY[preset]
    density.main(
        replace(
            given,
            store=store,
            run=out / "density",
            descriptor=out / "descriptor",
            condition=out / "condition",
            loop=_loop(given.loop, settings),
        )
    )
    export.main(export.ExportSettings(store, out / "density", out / "model"))


def _loop(loop: LoopSettings, settings: EverythingSettings) -> LoopSettings:
    """Give a preset's loop the steps and the seed that were asked for."""
    steps = settings.steps or loop.steps
    return replace(loop, steps=steps, warmup=min(loop.warmup, steps // 10), seed=settings.seed)
