"""The command line: screen scans, or read what a model is and where it ends."""

import argparse
import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, final

from ctscreener.cohort import command as cohort
from ctscreener.doctor_command import run_doctor
from ctscreener.errors import InputError
from ctscreener.events import reporter
from ctscreener.reporter import Reporter
from ctscreener.screen_command import DONE, FAULT, REFUSED, run_screen
from ctscreener.streams import open_streams, say
from ctscreener.threads import share_the_machine
from ctscreener.version import VERSION

logger = logging.getLogger(__name__)

ENCODER_HELP = "the encoder's weights, for a model that does not hold them"
STOPPED = 130
"""Exit status of what was stopped from outside."""


@final
class _Parser(argparse.ArgumentParser):
    """A parser whose complaints look like every other: one line, with a code."""

    def error(self, message: str) -> NoReturn:
        raise InputError("option.invalid", f"{message}.", f"See {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Arguments:
        argv: What follows the command's name; that of this process by default.

    Returns:
        The exit status: 0 done, 2 the input or the model cannot be used, 1 a fault of ours, 130
        stopped by Ctrl-C, a termination or a reader that has gone.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    share_the_machine()
    open_streams()
    listener = reporter("--events" in arguments, "--json" in arguments)
    with listener as report, _termination_stops():
        try:
            return _run(_parser().parse_args(arguments), report)
        except InputError as error:
            report.refused(error)
            return REFUSED
        except BrokenPipeError:
            # Whoever read our lines has gone; Python's last flush must not meet the broken pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return STOPPED
        except KeyboardInterrupt:
            with contextlib.suppress(BrokenPipeError):
                report.error(
                    "stopped", "Stopped before the end.", "No file is half-written.", None
                )
            return STOPPED
        except Exception as fault:
            report.fault(fault)
            logger.exception("Traceback of the fault above:")
            return FAULT


def _run(options: argparse.Namespace, report: Reporter) -> int:
    """Do what was asked for."""
    match options.verb:
        case "screen":
            return run_screen(options, report)
        case "cohort":
            return cohort.run(options, report)
        case "doctor":
            return run_doctor(options, report)
        case "completion":
            return _completion(options)
        case _:
            return _model(options)


@contextlib.contextmanager
def _termination_stops() -> Iterator[None]:
    """Treat a request to terminate as Ctrl-C, so that what is half-written is cleared away."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "ctscreener", allow_abbrev=False, description="Shows what is unusual in a CT scan."
    )
    parser.add_argument("--version", action="version", version=f"ctscreener {VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    screen = verbs.add_parser(
        "screen",
        allow_abbrev=False,
        help="find what is unusual in one scan or several",
        epilog="A scan that cannot be read within 20 minutes is given up.",
    )
    add = screen.add_argument
    add("scans", nargs="+", type=_path, metavar="SCAN", help="a file, or a folder of DICOM files")
    add("--out", required=True, type=_path, metavar="DIR", help="where the results go")
    add("--model", default="preview", metavar="NAME|DIR", help="what to screen with (preview)")
    add("--encoder", type=_path, metavar="FILE", help=ENCODER_HELP)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (auto: cuda or cpu)")
    add("--threshold", type=float, default=3.0, help="lowest rarity of a finding, 0 to 20 (3)")
    add("--overlap", type=float, help="how much tiles overlap, 0 to 0.9 (0.5); not of all models")
    add("--min-volume", type=float, default=0.1, metavar="ML", help="smallest finding (0.1)")
    add("--most", type=int, default=5, metavar="N", help="list the N rarest findings at most (5)")
    bounds = ("R0", "R1", "A0", "A1", "S0", "S1")
    add("--region", nargs=6, type=float, metavar=bounds, help="score this box alone, RAS mm")
    add("--all-parts", action="store_true", help="list findings in arms, head and legs, too")
    add(
        "--series",
        metavar="UID",
        help="which series of a DICOM folder with several; UID#2 for its second part",
    )
    add("--batch", type=int, default=1, metavar="N", help="tiles at once (1)")
    out = screen.add_mutually_exclusive_group()
    out.add_argument(
        "--events", action="store_true", help="progress and results as JSON lines, for programs"
    )
    out.add_argument("--json", action="store_true", help="results as JSON, a line for each scan")
    cohort.add_arguments(
        verbs.add_parser("cohort", allow_abbrev=False, help="screen thousands of scans, one table")
    )
    model = verbs.add_parser("model", help="print a model's card, its numbers and its limits")
    model.add_argument("name", nargs="?", default="preview", metavar="NAME|DIR")
    model.add_argument("--encoder", type=_path, metavar="FILE", help=ENCODER_HELP)
    model.add_argument("--events", action="store_true", help=argparse.SUPPRESS)
    doctor = verbs.add_parser("doctor", help="check this installation; screens the sample")
    doctor.add_argument("--device", default="auto", help="as of screen (auto)")
    doctor.add_argument("--model", default="preview", metavar="NAME|DIR", help="what to test with")
    doctor.add_argument("--no-test", action="store_true", help="look, and screen nothing")
    completion = verbs.add_parser("completion", help="print what lets a shell complete options")
    completion.add_argument("shell", choices=("bash", "zsh"))
    return parser


def _path(text: str) -> Path:
    """Take a path; an empty one, as of a shell's unset variable, would be the working folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a path, found nothing between the quotes")
    return Path(text)


def _model(options: argparse.Namespace) -> int:
    """Print what a model is, its numbers and its limits: its card, then where it comes from."""
    from ctscreener.model import load_model

    model = load_model(options.name, options.encoder)
    lines = [f"Model {model.name}, weights SHA-256 {model.sha256}", ""]
    lines += [*model.card.strip().splitlines(), "", "Provenance"]
    lines += [f"  {key}: {value}" for key, value in _flat(model.provenance)]
    say(sys.stdout, *lines)
    return DONE


def _completion(options: argparse.Namespace) -> int:
    """Print the script by which a shell completes options and paths."""
    try:
        shtab = importlib.import_module("shtab")
    except ImportError as error:
        raise InputError(
            "completion.missing",
            "Expected the package shtab, which writes completions, found none.",
            "Install it: pip install 'ctscreener[terminal]'.",
        ) from error
    parser = _parser()
    verbs = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for action in (one for verb in verbs.choices.values() for one in verb._actions):
        if action.type is _path:
            # Where shtab looks for what completes an argument.
            vars(action)["complete"] = shtab.FILE
    print(shtab.complete(parser, options.shell))
    return DONE


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Walk nested mappings; of a list of mappings, such as a data manifest, give the length."""
    for key, value in tree.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
            yield name, f"{len(value)} entries"
        else:
            yield name, value
