"""`ctscreener screen`: from its flags to result folders."""

import argparse
import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctscreener.errors import InputError
from ctscreener.lock import held
from ctscreener.outputs import (
    SummaryRow,
    check_space,
    check_writable,
    publish,
    scan_names,
    summary_text,
)
from ctscreener.reporter import Reporter

if TYPE_CHECKING:
    from ctscreener.model import Model
    from ctscreener.reading import Reader
    from ctscreener.screening import ScreenSettings

logger = logging.getLogger(__name__)

DONE, FAULT, REFUSED = 0, 1, 2
"""Exit statuses: done; a fault of ours; the input or the model cannot be used."""
MOST = 1_000_000
"""Findings that can be asked for: more than any scan has."""


def _check_range(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(
            "option.invalid",
            f"Expected {option} from {low:.15g} to {high:.15g}, found {value:.15g}.",
            f"Give another {option}.",
        )


def _settings(options: argparse.Namespace) -> "ScreenSettings":
    _check_range("--threshold", options.threshold, 0, 20)
    overlap = {} if options.overlap is None else {"overlap": options.overlap}
    for share in overlap.values():
        _check_range("--overlap", share, 0, 0.9)
    _check_range("--min-volume", options.min_volume, 0, 1e6)
    _check_range("--most", options.most, 1, MOST)
    _check_range("--batch", options.batch, 1, 4096)
    from ctscreener.device import find_device
    from ctscreener.findings import FindingSettings
    from ctscreener.screening import ScreenSettings

    return ScreenSettings(
        findings=FindingSettings(options.threshold, options.min_volume, options.most),
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


def run_screen(options: argparse.Namespace, report: Reporter) -> int:
    """Screen what was asked for.

    Arguments:
        options: The flags of `ctscreener screen`.
        report: Hears how it goes.

    Returns:
        The exit status.

    Raises:
        InputError: The options, the model, the folder or a single scan cannot be used.
    """
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
    return SummaryRow(name, record.get("found", len(findings)), top, seconds)


def _screen_one(job: _Job, path: Path, name: str, folder: Path) -> dict[str, Any]:
    """Screen one scan and write its result folder; returns the contents of `findings.json`."""
    import json

    from ctscreener.files import write_map
    from ctscreener.findings_text import findings_to_csv, findings_to_json
    from ctscreener.maps import write_labels
    from ctscreener.provenance import fingerprint, provenance
    from ctscreener.rarity_text import counted_up_to
    from ctscreener.screening import screen

    began = time.perf_counter()
    job.report.progress("reading", 0, 1)
    with memory_explained():
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
                file, findings_to_csv(screened.findings, counted, screened.found)
            ),
            "overview.png": lambda file: screened.picture(title).save(file),
            "findings.json": lambda file: _write_text(file, text),
        },
    )
    job.report.progress("writing", 1, 1)
    return json.loads(text)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


@contextlib.contextmanager
def memory_explained() -> Iterator[None]:
    """Tell a scan that is too large for this machine from a fault of ours."""
    from ctscreener.device import is_out_of_memory

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            "device.memory",
            "Expected a scan that fits into memory, found too little memory for this one.",
            "Use --batch 1, --device cpu, or a machine with more memory.",
        ) from error
