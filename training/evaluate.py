"""The stage that measures a model on scans with known lesions, beside rivals and trivial scores."""

import os
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import torch

from ctscreener.device import find_device
from ctscreener.errors import InputError
from ctscreener.provenance import request
from ctscreener.settings import write_json
from ctscreener.terminal import Terminal
from ctscreener.whole_file import NotWrittenError, clear_tree, write_text
from training.baselines.folder import Fitted, check_rated
from training.cluster import over_cluster
from training.evaluation.case import UNLABELLED, Case
from training.evaluation.cases import find_cases, find_unlabelled
from training.evaluation.evaluator import EvaluateSettings, Evaluator
from training.evaluation.measured import MeasuredScan
from training.evaluation.method import describe
from training.evaluation.results import Results
from training.evaluation.summary import promise, summary
from training.evaluation.trained_on import check_fold, digest_of
from training.tables import FORMAT, FORMAT_VERSION, evaluation_table, rarity_table
from training.workers import check_workers, pool

__all__ = ["EvaluateSettings", "main"]

Skipped = dict[str, str]
"""Set, name and reason of a scan that was left out."""


def main(settings: EvaluateSettings) -> None:
    """Measure all sets; write `results.json` and `table.md`, print the table.

    Arguments:
        settings: All settings.

    Raises:
        InputError: The model, a set or a setting cannot be used, or no scan could be.
    """
    check(settings)
    clear_tree(settings.out)
    evaluator = Evaluator.of(settings)
    model = evaluator.model
    labelled = find_cases(
        settings.sets, settings.labels, settings.limit, settings.others, settings.patient
    )
    cases = labelled + find_unlabelled(settings.unlabelled, settings.patient)[: settings.limit]
    check_fold(model.provenance, cases)
    check_rated(evaluator.rated, [digest_of(case) for case in labelled])
    measured, skipped = measure_all(evaluator, cases)
    if settings.share != (1, 1):
        number, machines = settings.share
        print(f"Measured share {number} of {machines}. Call again without --share for results.")
        return
    parts = dict.fromkeys(case.part for case in measured)
    asked = request(model, evaluator.screened.screening, None)
    results: Results = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "software": asked["software"],
        "model": asked["model"],
        "parameters": asked["parameters"],
        "method": describe(model),
        "torch": torch.__version__,
        "measuring": evaluator.protocol(),
        "resamples": settings.resamples,
        "baselines": {one.name: one.sha256 for one in evaluator.rated if isinstance(one, Fitted)},
        "sets": [
            summary({c: m for c, m in measured.items() if c.part == part}, protocol, evaluator)
            for part in parts
            if part != UNLABELLED
            for protocol in settings.protocols
        ],
        "rarities": [
            promise({c: m for c, m in measured.items() if c.part == part}, evaluator)
            for part in parts
        ],
        "skipped": skipped,
    }
    results["table"] = table = evaluation_table(results)
    write_json(settings.out / "results.json", results)
    write_text(settings.out / "table.md", f"{table}\n{rarity_table([results])}")
    print(table, rarity_table([results]), sep="\n", end="")


def check(settings: EvaluateSettings) -> None:
    """Refuse settings that mean nothing.

    Raises:
        InputError: `evaluate.settings`, `evaluate.sets`, `workers.few` or `device.unavailable`.
    """
    find_device(settings.device)
    number, machines = settings.share
    if not (settings.sets or settings.unlabelled):
        raise InputError(
            "evaluate.sets",
            "Expected --sets of scans with masks, or --unlabelled scans, found neither.",
            "Give one of them.",
        )
    check_workers(settings.workers)
    sound = settings.region_voxels >= 1 and settings.resamples >= 0 and settings.protocols
    if not (sound and 1 <= number <= machines):
        raise InputError(
            "evaluate.settings",
            "Expected --region-voxels of 1 or more, --resamples of 0 or more, --protocols, and a "
            f"--share such as 1 2, found {settings.region_voxels}, {settings.resamples}, "
            f"{settings.protocols} and {settings.share}.",
            "Correct the option.",
        )


def measure_all(
    evaluator: Evaluator, cases: Sequence[Case]
) -> tuple[dict[Case, MeasuredScan], list[Skipped]]:
    """Measure what no earlier run has measured.

    Returns:
        Where each scan's numbers are, and the scans left out with the reason.

    Raises:
        InputError: `evaluate.nothing`.
    """
    number, machines = evaluator.settings.share
    cases = cases[number - 1 :: machines]
    report = Terminal(sys.stdout, sys.stderr)
    kept, skipped = {}, list[Skipped]()
    for done, case in enumerate(cases):
        report.progress("looking for earlier results", done, len(cases))
        kept[case] = evaluator.measured(case)
    todo = [case for case, measured in kept.items() if not measured.exists]
    for done, (case, refused) in enumerate(_measured(evaluator, todo)):
        report.progress("evaluating", done, len(todo))
        if refused:
            del kept[case]
            skipped.append({"set": case.part, "scan": case.name, "reason": refused.message})
            report.refused(refused, case.name)
    report.progress("evaluating", len(todo), len(todo))
    if cases and not kept:
        found = f"Expected a usable scan among {len(cases)}, found none."
        raise InputError("evaluate.nothing", found, "The reason for each is listed above.")
    return kept, skipped


def _measured(
    evaluator: Evaluator, cases: Sequence[Case]
) -> Iterator[tuple[Case, InputError | None]]:
    """Measure scans, here or in several processes, in order."""
    if evaluator.settings.scheduler and cases:
        yield from _over_cluster(evaluator, cases)
        return
    workers = min(evaluator.settings.workers, len(cases))
    if workers <= 1:
        for case in cases:
            yield case, _refusal(evaluator, case)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    with pool(workers, threads) as processes:
        measure = partial(_elsewhere, evaluator.settings)
        for case, refused in zip(cases, processes.map(measure, cases), strict=True):
            yield case, InputError(*refused) if refused else None


def _over_cluster(
    evaluator: Evaluator, cases: Sequence[Case]
) -> Iterator[tuple[Case, InputError | None]]:
    """Measure scans by the workers of a cluster, and give them in order: tables list them so."""
    settings = evaluator.settings
    items = {f"{case.part}/{case.name}": case for case in cases}
    assert len(items) == len(cases), "each has files of its own"
    report = Terminal(sys.stdout, sys.stderr)
    found: dict[Case, InputError | None] = {}
    for case, outcome in over_cluster(
        settings.scheduler, settings.workers, partial(_elsewhere, settings), items, settings.out
    ):
        refused = outcome if isinstance(outcome, InputError) else outcome and InputError(*outcome)
        found[case] = refused
        report.progress("measuring", len(found), len(cases))
    yield from ((case, found[case]) for case in cases)


def _refusal(evaluator: Evaluator, case: Case) -> InputError | None:
    """Measure one scan; what is wrong with it, if anything is."""
    try:
        evaluator.measure(case)
    except NotWrittenError:
        raise
    except InputError as error:
        return error
    return None


def _elsewhere(settings: EvaluateSettings, case: Case) -> tuple[str, str, str] | None:
    """The same in a process of its own, which loads models and rivals once."""
    refused = _refusal(_evaluator(settings), case)
    return (refused.code, refused.message, refused.action) if refused else None


_evaluator = lru_cache(maxsize=1)(Evaluator.of)
