"""The stages: what each imports, how it reads its flags, and what it calls."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from training.flags import parse

Settings = TypeVar("Settings")


def _together(stage: Callable[[Settings], object], settings: Settings) -> None:
    """Run a stage that several processes may share, and part from them once all are through."""
    from training.loop import processes

    with processes.together():
        stage(settings)


def _named_or_not(arguments: list[str]) -> list[str]:
    """Let scans stand alone or after `--scans`."""
    return [word.removeprefix("--scans=") for word in arguments if word != "--scans"]


# Every stage imports its code when it is called: a short start, and no stage breaks another.


def datasets(preset: str | None, arguments: list[str]) -> None:
    """List data sets, or check one."""
    if arguments[:1] == ["check"]:
        from training.datasets.check import CheckSettings
        from training.datasets.check import main as check

        check(parse(CheckSettings, arguments[1:], None, "datasets check"))
        return
    from training.datasets.stage import ListSettings, main

    main(parse(ListSettings, arguments, None, "datasets"))


def phantoms(preset: str | None, arguments: list[str]) -> None:
    """Make synthetic scans."""
    from training.phantoms.stage import PhantomSettings, main

    main(parse(PhantomSettings, arguments, None, "phantoms"))


def insert(preset: str | None, arguments: list[str]) -> None:
    """Put lesions into real scans."""
    from training.inserted.stage import InsertSettings, main

    main(parse(InsertSettings, arguments, None, "insert"))


def prepare(preset: str | None, arguments: list[str]) -> None:
    """Turn scans into a store."""
    from training.prepare import PrepareSettings, main
    from training.presets import FINE_SPACING

    settings = parse(PrepareSettings, _named_or_not(arguments), None, "prepare")
    if preset and settings.fine is None and not settings.plain:
        settings = replace(settings, fine=FINE_SPACING[preset])
    main(settings)


def pack(preset: str | None, arguments: list[str]) -> None:
    """Pack scans, or runs."""
    from training.pack import PackSettings, main

    main(parse(PackSettings, arguments, None, "pack"))


def unpack(preset: str | None, arguments: list[str]) -> None:
    """Unpack scans, or runs."""
    from training.unpack import UnpackSettings, main

    main(parse(UnpackSettings, arguments, None, "unpack"))


def encoder(preset: str | None, arguments: list[str]) -> None:
    """Take the first stages of a public CT encoder, or train such stages."""
    if "--tune" in arguments:
        from training import tune

        flags = [word for word in arguments if word != "--tune"]
        _together(tune.main, parse(tune.TuneSettings, flags, None, "encoder --tune"))
        return
    from training.encoder import EncoderStageSettings, main

    main(parse(EncoderStageSettings, arguments, None, "encoder"))


def discriminator(preset: str | None, arguments: list[str]) -> None:
    """Train what reads scores off an encoder's maps."""
    from training.discriminator import DiscriminatorSettings, main

    _together(main, parse(DiscriminatorSettings, arguments, None, "discriminator"))


def descriptor(preset: str | None, arguments: list[str]) -> None:
    """Train the descriptor."""
    from training.descriptor import DescriptorSettings, main
    from training.presets import DESCRIPTOR

    default = DESCRIPTOR[preset] if preset else None
    _together(main, parse(DescriptorSettings, arguments, default, "descriptor"))


def condition(preset: str | None, arguments: list[str]) -> None:
    """Train the condition."""
    from training.condition import ConditionStageSettings, main
    from training.presets import CONDITION

    default = CONDITION[preset] if preset else None
    _together(main, parse(ConditionStageSettings, arguments, default, "condition"))


def ape(preset: str | None, arguments: list[str]) -> None:
    """Train the network of anatomical positions."""
    from training.ape import ApeSettings, main
    from training.presets import APE

    default = APE[preset] if preset else None
    _together(main, parse(ApeSettings, arguments, default, "ape"))


def density(preset: str | None, arguments: list[str]) -> None:
    """Train the density model."""
    from training.density import DensityStageSettings, main
    from training.presets import DENSITY

    default = DENSITY[preset] if preset else None
    _together(main, parse(DensityStageSettings, arguments, default, "density"))


def distil(preset: str | None, arguments: list[str]) -> None:
    """Train a small network to predict the scores of a model."""
    from training.distil import DistilSettings, main
    from training.presets import DISTIL

    default = DISTIL[preset] if preset else None
    _together(main, parse(DistilSettings, arguments, default, "distil"))


def export(preset: str | None, arguments: list[str]) -> None:
    """Write a model folder."""
    from training.export import ExportSettings, main

    main(parse(ExportSettings, arguments, None, "export"))


def baseline(preset: str | None, arguments: list[str]) -> None:
    """Fit a rival, or list all of them."""
    from training.baselines.stage import listed, main, method_of

    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: python training/run.py baseline NAME [flags]\n\n{listed()}")
        return
    name, *flags = arguments
    method = method_of(name)
    default = method.preset(preset) if preset else None
    settings = parse(method.settings, flags, default, f"baseline {name}")
    _together(partial(main, name), settings)


def evaluate(preset: str | None, arguments: list[str]) -> None:
    """Measure a model on scans with known lesions."""
    from training.evaluate import EvaluateSettings, main

    main(parse(EvaluateSettings, arguments, None, "evaluate"))


def pace(preset: str | None, arguments: list[str]) -> None:
    """Tell how fast trainings went."""
    from training.pace import PaceSettings, main

    main(parse(PaceSettings, arguments, None, "pace"))


def tables(preset: str | None, arguments: list[str]) -> None:
    """Lay results out as tables and as a page."""
    from training.tables import TablesSettings, main

    main(parse(TablesSettings, arguments, None, "tables"))


def everything(preset: str | None, arguments: list[str]) -> None:
    """Run all stages from scans to a model."""
    from training.all_stages import EverythingSettings, main

    settings = parse(EverythingSettings, _named_or_not(arguments), None, "all")
    _together(partial(main, preset=preset or "tiny"), settings)


STAGES: dict[str, Callable[[str | None, list[str]], None]] = {
    "datasets": datasets,
    "phantoms": phantoms,
    "insert": insert,
    "prepare": prepare,
    "pack": pack,
    "unpack": unpack,
    "encoder": encoder,
    "discriminator": discriminator,
    "descriptor": descriptor,
    "condition": condition,
    "ape": ape,
    "density": density,
    "distil": distil,
    "export": export,
    "baseline": baseline,
    "evaluate": evaluate,
    "pace": pace,
    "tables": tables,
    "all": everything,
}
