"""The training command: one stage a call, its settings as flags."""

import errno
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, TypeVar, get_args

from ctscreener.errors import InputError
from ctscreener.streams import open_streams, until_reader_goes
from ctscreener.threads import share_the_machine
from training.flags import parse

Settings = TypeVar("Settings")
DISK = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that is full, and of one of which a user may fill no more."""
STOPPED = 130
"""Exit status of a stage that was stopped."""
Preset = Literal["tiny", "minutes", "small", "paper"]

USAGE = """usage: python training/run.py STAGE [--preset tiny|minutes|small|paper] [flags]

stages, in the order in which they are run; STAGE --help lists the flags of one:
  datasets    list the data sets that are read; `datasets check NAME FOLDER` looks at a download
  phantoms    make synthetic scans with known lesions
  insert      put synthetic lesions into real scans, with masks
  prepare     turn scans into a store
  pack        pack scans of a store into one small file, or runs into parts
  unpack      make a store of packed scans, or run folders of parts
  encoder     take the first stages of a public CT encoder; with --tune, train them on
  discriminator  train what reads anomaly scores off an encoder's maps
  descriptor  train the network that says what a voxel looks like
  condition   train the network that says what to expect at a voxel
  ape         train the network of anatomical positions, another kind of condition
  density     train the model of descriptors, given conditions
  distil      train a fast model that predicts the scores of another
  export      write a model folder that `ctscreener` uses
  baseline    fit a rival, `baseline NAME`, to be measured beside a model; without a name, list them
  evaluate    measure a model, and rivals, on scans with known lesions
  pace        steps a second of trainings, and what the paper's full one would take
  tables      results of evaluations as one table, and as a page beside the papers' numbers
  all         prepare to export in one go, on phantoms where no scans are given
"""


def main(arguments: list[str]) -> int:
    """Run one stage.

    Arguments:
        arguments: The command line without the name of the program.

    Returns:
        Exit status: 0 done, 2 the input cannot be used, 130 stopped by Ctrl-C or as the reader of
        what is printed has gone.
    """
    share_the_machine()
    open_streams()
    return until_reader_goes(partial(_run, arguments), STOPPED)


def _run(arguments: list[str]) -> int:
    """Run one stage; gives the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    try:
        stage = STAGES.get(arguments[0])
        if stage is None:
            raise InputError(
                "run.stage",
                f"Expected a stage, one of {', '.join(STAGES)}; found {arguments[0]}.",
                "See python training/run.py --help.",
            )
        stage(*_split_preset(arguments[1:]))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "Stopped before the end. Run the same command again: it goes on where it was.",
            file=sys.stderr,
        )
        return STOPPED
    except OSError as error:
        if error.errno not in DISK:
            raise
        print(
            f"Expected room on the disk for {error.filename or 'the results'}, found it full "
            f"({error.strerror}). Make room and run the same command again: it goes on.",
            file=sys.stderr,
        )
        return 2
    return 0


def _split_preset(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Take `--preset NAME` out of the flags, as it decides what the others fall back to."""
    rest, preset = [], None
    words = iter(arguments)
    for word in words:
        name, _, value = word.partition("=")
        if name == "--preset":
            preset = value or next(words, "")
            if preset not in get_args(Preset):
                raise InputError(
                    "run.preset",
                    f"Expected a preset, one of {', '.join(get_args(Preset))}; found {preset}.",
                    "See python training/run.py --help.",
                )
        else:
            rest.append(word)
    return preset, rest


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

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
