"""The training command: one stage a call, its settings as flags."""

import errno
import sys
from functools import partial
from typing import Literal, get_args

from ctscreener.device import is_out_of_memory
from ctscreener.errors import InputError
from ctscreener.streams import open_streams, until_reader_goes
from ctscreener.threads import share_the_machine
from training.stages import STAGES

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
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(
            "Expected a machine with memory for this stage, found too little. Use smaller batches, "
            "crops or networks, or fewer --workers (--help lists the flags), or another machine: "
            "what is done is kept.",
            file=sys.stderr,
        )
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


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
