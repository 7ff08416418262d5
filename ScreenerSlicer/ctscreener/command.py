"""The command line: screen scans, or read what a model is and where it ends."""

import argparse
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, final

from ctscreener.errors import InputError
from ctscreener.events import Reporter, open_streams, reporter, say
from ctscreener.lock import held
from ctscreener.outputs import (
    SummaryRow,
    check_space,
    check_writable,
    publish,
    scan_names,
    summary_text,
)
from ctscreener.threads import share_the_machine
from ctscreener.version import VERSION

if TYPE_CHECKING:
    from ctscreener.model import Model
    from ctscreener.reading import Reader
    from ctscreener.screen import ScreenSettings

logger = logging.getLogger(__name__)

ENCODER_HELP = "the encoder's weights, for a model that does not hold them"
DONE, FAULT, REFUSED, STOPPED = 0, 1, 2, 130


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
    with reporter("--events" in arguments) as report, _termination_stops():
        try:
            options = _parser().parse_args(arguments)
            return _screen(options, report) if options.verb == "screen" else _model(options)
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
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="screen|model")
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
    bounds = ("R0", "R1", "A0", "A1", "S0", "S1")
    add("--region", nargs=6, type=float, metavar=bounds, help="score this box alone, RAS mm")
    add("--all-parts", action="store_true", help="list findings in arms, head and legs, too")
    add(
        "--series",
        metavar="UID",
        help="which series of a DICOM folder with several; UID#2 for its second part",
    )
    add("--batch", type=int, default=1, metavar="N", help="tiles at once (1)")
    add("--events", action="store_true", help="JSON lines on stdout, for programs")
    model = verbs.add_parser("model", help="print a model's card, its numbers and its limits")
    model.add_argument("name", nargs="?", default="preview", metavar="NAME|DIR")
    model.add_argument("--encoder", type=_path, metavar="FILE", help=ENCODER_HELP)
    model.add_argument("--events", action="store_true", help=argparse.SUPPRESS)
    return parser


def _path(text: str) -> Path:
    """Take a path; an empty one, as of a shell's unset variable, would be the working folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a path, found nothing between the quotes")
    return Path(text)


def _check_range(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(
            "option.invalid",
            f"Expected {option} from {low:g} to {high:g}, found {value:g}.",
            f"Give another {option}.",
        )


def _settings(options: argparse.Namespace) -> "ScreenSettings":
    _check_range("--threshold", options.threshold, 0, 20)
    overlap = {} if options.overlap is None else {"overlap": options.overlap}
    for share in overlap.values():
        _check_range("--overlap", share, 0, 0.9)
    _check_range("--min-volume", options.min_volume, 0, 1e6)
    _check_range("--batch", options.batch, 1, 4096)
    from ctscreener.device import find_device
    from ctscreener.findings import FindingSettings
    from ctscreener.screen import ScreenSettings

    return ScreenSettings(
        findings=FindingSettings(options.threshold, options.min_volume),
        region=tuple(options.region) if options.region else None,
        device=find_device(options.device),
        batch=options.batch,
        all_parts=options.all_parts,
        **overlap,
    )


@dataclass(frozen=True)
class _Job:
    """What all scans of one call share."""

    model: "Model"
    settings: "ScreenSettings"
    series: str | None
    wanted: Mapping[str, Any]
    reader: "Reader"
    report: Reporter


def _screen(options: argparse.Namespace, report: Reporter) -> int:
    from ctscreener.reading import Reader

    check_writable(options.out)
    # The process that reads gets ready while torch is loaded here.
    with held(options.out), Reader() as reader:
        return _screen_held(options, reader, report)


def _screen_held(options: argparse.Namespace, reader: "Reader", report: Reporter) -> int:
    """Screen what was asked for into a folder that is ours."""
    settings = _settings(options)
    from ctscreener.model import load_model
    from ctscreener.provenance import request

    model = load_model(options.model, options.encoder)
    if model.whole and options.overlap is not None:
        report.notice(
            "overlap.unused",
            f"The model {model.name} sees the whole scan at once, without tiles: --overlap "
            "changes nothing.",
        )
    wanted = request(model, settings, options.series)
    job = _Job(model, settings, options.series, wanted, reader, report)
    if len(options.scans) > 1:
        return _screen_several(job, options.scans, options.out)
    (name,) = scan_names(options.scans)
    record = _screen_one(job, options.scans[0], name, options.out)
    report.result(name, options.out, record, reused=False)
    return DONE


def _screen_several(job: _Job, scans: Sequence[Path], out: Path) -> int:
    """Screen each scan into a folder of its own; one that fails does not stop the others."""
    status = DONE
    rows: list[SummaryRow] = []
    for number, (path, name) in enumerate(zip(scans, scan_names(scans), strict=True), start=1):
        job.report.begin(name, number, len(scans))
        try:
            rows.append(_screen_next(job, path, name, out / name))
        except InputError as error:
            job.report.refused(error, name)
            rows.append(SummaryRow(name, status="failed", error=str(error)))
            status = max(status, REFUSED) if status != FAULT else FAULT
        except BrokenPipeError:
            raise
        except Exception as fault:
            job.report.fault(fault, name)
            logger.exception("Traceback of the fault above:")
            rows.append(SummaryRow(name, status="failed", error=f"{type(fault).__name__}"))
            status = FAULT
        text = summary_text(rows)
        publish(out, {"summary.csv": lambda path, text=text: _write_text(path, text)})
    return status


def _screen_next(job: _Job, path: Path, name: str, folder: Path) -> SummaryRow:
    """Screen one of several scans, unless an earlier run has done so."""
    from ctscreener.provenance import standing_record

    record = standing_record(folder, path, job.wanted)
    reused = record is not None
    if record is None:
        record = _screen_one(job, path, name, folder)
    job.report.result(name, folder, record, reused)
    findings = record["findings"]
    top = max((finding["peak_rarity"] for finding in findings), default=None)
    seconds = round(sum(record["provenance"]["seconds"].values()), 1)
    return SummaryRow(name, len(findings), top, seconds)


def _screen_one(job: _Job, path: Path, name: str, folder: Path) -> dict[str, Any]:
    """Screen one scan and write its result folder; returns the contents of `findings.json`."""
    import json

    from ctscreener.files import write_map
    from ctscreener.findings import findings_to_csv, findings_to_json
    from ctscreener.maps import write_labels
    from ctscreener.overview import draw_overview
    from ctscreener.provenance import fingerprint, provenance
    from ctscreener.rarity_text import counted_up_to
    from ctscreener.screen import screen

    began = time.perf_counter()
    job.report.progress("reading", 0, 1)
    with _memory_explained():
        scan = job.reader.read(path, job.series)
        source = fingerprint(path)
        job.report.progress("reading", 1, 1)
        reading = time.perf_counter() - began
        check_space(folder, 4 * scan.hu.size + 8_000_000)
        screened = screen(scan, job.model, job.settings, job.report.progress, job.report.notice)
    seconds = {"reading": reading, **screened.seconds}
    origin = provenance(source, scan, job.wanted, screened, seconds)
    counted = counted_up_to(origin)
    parts = screened.parts
    assert parts is not None, "a screening finds them"
    text = findings_to_json(screened.findings, origin, screened.found, counted, screened.elsewhere)
    title = f"{name}, model {job.model.name}"
    job.report.progress("writing", 0, 1)
    publish(
        folder,
        {
            "anomaly.nrrd": lambda file: write_map(file, screened.rarity, scan.affine),
            "parts.nrrd": lambda file: write_labels(file, parts.labels, parts.affine),
            "findings.csv": lambda file: _write_text(
                file, findings_to_csv(screened.findings, counted)
            ),
            "overview.png": lambda file: draw_overview(
                scan,
                screened.rarity,
                screened.findings,
                title,
                found=screened.found,
                counted=counted,
            ).save(file),
            "findings.json": lambda file: _write_text(file, text),
        },
    )
    job.report.progress("writing", 1, 1)
    return json.loads(text)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


@contextlib.contextmanager
def _memory_explained() -> Iterator[None]:
    """Tell a scan that is too large for this machine from a fault of ours."""
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise InputError(
            "device.memory",
            "Expected a scan that fits into memory, found too little memory for this one.",
            "Use --batch 1, --device cpu, or a machine with more memory.",
        ) from error


def _model(options: argparse.Namespace) -> int:
    """Print what a model is, its numbers and its limits: its card, then where it comes from."""
    from ctscreener.model import load_model

    model = load_model(options.name, options.encoder)
    lines = [f"Model {model.name}, weights SHA-256 {model.sha256}", ""]
    lines += [*model.card.strip().splitlines(), "", "Provenance"]
    lines += [f"  {key}: {value}" for key, value in _flat(model.provenance)]
    say(sys.stdout, *lines)
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
