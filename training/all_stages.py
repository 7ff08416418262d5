"""All stages in one go, from scans to a model folder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from training import ape, condition, density, descriptor, distil, export, prepare
from training.ape import ApeSettings
from training.condition import ConditionStageSettings
from training.density import DensityStageSettings
from training.descriptor import DescriptorSettings
from training.distil import DistilSettings
from training.flags import POSITIONAL
from training.loop import processes
from training.loop.loop import LoopSettings
from training.phantoms import stage as phantoms
from training.presets import APE, CONDITION, DENSITY, DESCRIPTOR, DISTIL, FINE_SPACING
from training.workers import check_workers

Stage = (
    DescriptorSettings
    | ConditionStageSettings
    | ApeSettings
    | DensityStageSettings
    | DistilSettings
)


SINCOS = 4
"""Frequencies of the position in the scan where it is all that is known and a preset has none."""


@dataclass(frozen=True)
class EverythingSettings:
    """Go from scans to a model folder; what an earlier call has finished is kept."""

    scans: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """Scans, DICOM folders or folders of such, alone or after `--scans`; without any, phantoms are
    made."""
    out: Path = Path("runs/all")
    """Folder for phantoms, store, runs and model."""
    phantoms: int = 40
    """Phantoms to make where no scans are given."""
    steps: int | None = None
    """Steps of each network in place of the preset's."""
    condition: Literal["masked", "ape", "sincos", "none"] = "masked"
    """What is known of a place: what a network blind to masked blocks says of it, its anatomical
    position, its position in the scan, or nothing. The preset may add the position in the scan
    to the first two."""
    held_out: tuple[str, ...] = ()
    """Names of scans that are not trained on but calibrated on; `*` stands for any text. Without
    any, a model is calibrated on the scans that it was trained on."""
    distil: bool = False
    """Also train a fast model, `model_distilled`, that predicts the scores of the other."""
    workers: int = 0
    """Processes that make phantoms and prepare scans; 0 for one on each core."""
    seed: int = 0
    """Decides everything that is drawn."""

    def __post_init__(self) -> None:
        """Refuse fewer processes than there can be."""
        check_workers(self.workers, fewest=0)


def main(settings: EverythingSettings, preset: str) -> None:
    """Run the stages one after the other, under one folder.

    Arguments:
        settings: All settings.
        preset: Which settings the networks have: `tiny`, `small` or `paper`.
    """
    processes.meet()
    if processes.is_first():
        fill_store(settings, preset)
    processes.wait()
    out, held_out = settings.out, settings.held_out

    def at(stage: Stage, name: str) -> dict[str, Any]:
        return {
            "store": out / "store",
            "run": out / name,
            "loop": _loop(stage.loop, settings),
            "exclude": held_out,
        }

    descriptor.main(replace(DESCRIPTOR[preset], **at(DESCRIPTOR[preset], "descriptor")))
    given = DENSITY[preset]
    shared = at(given, "density") | {"exclude": (), "held_out": held_out}
    shared["descriptor"] = out / "descriptor"
    if settings.condition == "masked":
        condition.main(replace(CONDITION[preset], **at(CONDITION[preset], "condition")))
        shared["condition"] = out / "condition"
    elif settings.condition == "ape":
        ape.main(replace(APE[preset], **at(APE[preset], "ape")))
        shared["ape"] = out / "ape"
    else:
        shared["sincos"] = {"sincos": given.sincos or SINCOS, "none": 0}[settings.condition]
    density.main(replace(given, **shared))
    reference = held_out or ("*",)
    exported = export.ExportSettings(
        store=out / "store", density=out / "density", out=out / "model", reference=reference
    )
    export_once(exported)
    if settings.distil:
        taught = at(DISTIL[preset], "distil") | {"exclude": (), "held_out": held_out}
        distil.main(replace(DISTIL[preset], model=str(exported.out), **taught))
        distilled = out / "model_distilled"
        export_once(replace(exported, distilled=out / "distil", out=distilled))


def export_once(settings: export.ExportSettings) -> None:
    """Write a model folder, the first process alone; all of them wait for it."""
    if processes.is_first():
        export.main(settings)
    processes.wait()


def fill_store(settings: EverythingSettings, preset: str) -> None:
    """Make phantoms where no scans are given, and prepare what there is."""
    out, scans = settings.out, settings.scans
    # Phantoms count their processes from 1.
    workers = settings.workers or os.cpu_count() or 1
    if not scans:
        scans = (out / "phantoms",)
        phantoms.main(
            phantoms.PhantomSettings(
                out / "phantoms", settings.phantoms, seed=settings.seed, workers=workers
            )
        )
    prepare.main(prepare.PrepareSettings(scans, out / "store", workers, fine=FINE_SPACING[preset]))


def _loop(loop: LoopSettings, settings: EverythingSettings) -> LoopSettings:
    """Give a preset's loop the steps and the seed that were asked for."""
    steps = settings.steps or loop.steps
    return replace(loop, steps=steps, warmup=min(loop.warmup, steps // 10), seed=settings.seed)
