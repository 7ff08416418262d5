"""The numbers of one set by one protocol, put together from what was kept of each scan.

Scans are read one after the other: the set as a whole is one histogram, and single scans stay in
memory as groups of its bins only.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.evaluation.case import Case
from training.evaluation.cases import family_of
from training.evaluation.counts import Counts, score_of
from training.evaluation.curves import (
    PARTIAL,
    Bounded,
    aupro,
    auroc,
    average_precision,
    best_dice,
    curve,
)
from training.evaluation.evaluator import Evaluator
from training.evaluation.froc import Joined, Marks, sensitivity
from training.evaluation.intervals import Estimate, Groups, Scans, interval, number, plain
from training.evaluation.measured import MeasuredScan
from training.evaluation.protocols import Protocol
from training.evaluation.rarities import rarity_summary
from training.evaluation.results import Part, Promise
from training.evaluation.trained_on import digest_of, seen_by

AREAS = {
    "auroc": (1, 1.0),
    f"auroc@{PARTIAL}": (1, PARTIAL),
    f"aupro@{PARTIAL}": (2, PARTIAL),
}
"""Areas: of lesion voxels (1) or of parts of regions (2), up to which false positive rate."""
SINGLES = {
    "ap": lambda counts: average_precision(counts).value,
    "dice": lambda counts: best_dice(counts).dice.value,
    "unscored": lambda counts: counts.unscored,
}
"""Other numbers of a single scan. AP, and Dice at the threshold that is best for this very scan, are
what SimpleSliceNet averages over volumes; no threshold is known before, so that it is an oracle."""
HISTOGRAM = 64
"""Columns of the plotted histograms of scores."""
UNDEFINED = {
    "ap": {
        "pooled": dict.fromkeys(("value", "low", "high")),
        "mean": dict.fromkeys(("value", "low", "high")),
        "rounding": None,
    },
    "dice": {
        "best": None,
        "rounding": None,
        "threshold": None,
        "elsewhere": dict.fromkeys(("value", "low", "high")),
        "own": dict.fromkeys(("value", "low", "high")),
    },
}
"""What depends on the share of lesion voxels: where voxels are drawn, it is that of the drawing."""
MARKS_DRAWN = 200
"""Points of a plotted FROC."""


def summary(
    measured: Mapping[Case, MeasuredScan], protocol: Protocol, evaluator: Evaluator
) -> Part:
    """Put together what was measured on one set, ready for JSON.

    Arguments:
        measured: Where the numbers of each scan are, at least one.
        protocol: Which voxels count.
        evaluator: What measured them.
    """
    cases, kept = list(measured), list(measured.values())
    patients = [case.patient for case in cases]
    scores, singles = {}, {}
    for name in kept[0].scores():
        total, singles[name] = _read(kept, name, protocol)
        groups = Groups.of(total)
        scans = Scans.of([groups.of_counts(m.counts(name, protocol)) for m in kept], patients)
        marks = [m.marks(name) for m in kept]
        # The same draws for every score, so that their intervals can be compared.
        rng = np.random.default_rng(evaluator.settings.seed)
        draws = scans.draws(evaluator.settings.resamples, rng)
        scores[name] = numbers(total, scans, singles[name], marks, draws)
        if protocol == "authors":
            scores[name] |= UNDEFINED
    return {
        "set": cases[0].part,
        "protocol": protocol,
        "family": family_of(cases[0].scan.parent),
        "inserted": bool(cases[0].origin),
        "label": cases[0].label,
        "others": cases[0].others,
        "patients": len(set(patients)),
        "regions": int(sum(m.fact("regions") for m in kept)),
        "scores": scores,
        "scans": [
            _scan(
                case,
                measured[case],
                evaluator,
                {name: {k: v[i] for k, v in single.items()} for name, single in singles.items()},
            )
            for i, case in enumerate(cases)
        ],
    }


def promise(measured: Mapping[Case, MeasuredScan], evaluator: Evaluator) -> Promise:
    """What the rarities of one set are worth, ready for JSON.

    Arguments:
        measured: Where the numbers of each scan are, at least one.
        evaluator: What measured them.

    Returns:
        What `rarity_summary` gives, with the set, which stages of the model saw its scans, and
        the counts of each scan.
    """
    scans = {case: kept.rarities() for case, kept in measured.items()}
    rng = np.random.default_rng(evaluator.settings.seed)
    patients = [case.patient for case in scans]
    return {
        "set": next(iter(scans)).part,
        **rarity_summary(list(scans.values()), patients, evaluator.settings.resamples, rng),
        "seen": seen_by(evaluator.model.provenance, [digest_of(case) for case in scans]),
        "each": [
            {"name": case.name, "patient": case.patient, **one.plain()}
            for case, one in scans.items()
        ],
    }


def numbers(
    total: Counts,
    scans: Scans,
    singles: Mapping[str, np.ndarray],
    marks: list[Marks],
    draws: np.ndarray,
) -> dict[str, Any]:
    """All numbers of one score over a set, with intervals and with what rounding can change.

    Arguments:
        total: All voxels together.
        scans: The same by scan, in groups of bins.
        singles: Each area and each of `SINGLES` of each scan, `(N,)`.
        marks: The peaks of each scan.
        draws: How often each patient is drawn, see `Scans.draws`.
    """
    result: dict[str, Any] = {}
    for name, (kind, up_to) in AREAS.items():
        exact = (auroc if kind == 1 else aupro)(total, up_to)
        pool = scans.pooled_area(kind, up_to, draws)
        mean = {"mean": plain(scans.mean(singles[name], draws))}
        result[name] = _pooled(exact, pool) | mean
    precision = _pooled(average_precision(total), scans.pooled_precision(draws))
    result["ap"] = precision | {"mean": plain(scans.mean(singles["ap"], draws))}
    best = best_dice(total)
    result["dice"] = {
        "best": number(best.dice.value),
        "rounding": number(best.dice.bound),
        "threshold": number(best.threshold),
        "elsewhere": plain(scans.mean(scans.dice_elsewhere(), draws)),
        "own": plain(scans.mean(singles["dice"], draws)),
    }
    joined = Joined.of(marks)

    def found(times: np.ndarray) -> float:
        return sensitivity(joined.curve(times[scans.patients].astype(float)))

    lesions = np.bincount(scans.patients, joined.lesions, scans.count) > 0
    points = joined.curve()
    result["froc"] = {
        "sensitivity": plain(interval(found, draws, lesions)),
        "curve": _rounded(
            points[np.unique(np.linspace(0, len(points) - 1, MARKS_DRAWN, dtype=int))]
        )
        if len(points)
        else [],
    }
    result["roc"] = _rounded(curve(total.negatives, total.positives))
    result["pro"] = _rounded(curve(total.negatives, total.parts))
    result["histogram"] = score_histogram(total)
    return result


def score_histogram(total: Counts) -> dict[str, list[float]]:
    """Shares of lesion voxels and of others at equal steps of the score, for a plot."""
    values = score_of(np.arange(len(total.negatives)))
    used = np.flatnonzero((total.negatives + total.positives > 0) & np.isfinite(values))
    if not len(used):
        return {"edges": [], "negatives": [], "positives": []}
    both = sum(a[used] / max(1, a.sum()) for a in (total.negatives, total.positives))
    reached = np.cumsum(both) / np.sum(both)
    # Without the last thousandths, which would leave nothing to see of the rest.
    low, high = values[used][np.searchsorted(reached, [0.001, 0.999])]
    edges = np.linspace(low, high if high > low else low + 1, HISTOGRAM + 1)
    shares = [
        np.histogram(values[used], edges, weights=a[used] / max(1, a.sum()))[0]
        for a in (total.negatives, total.positives)
    ]
    names = ("edges", "negatives", "positives")
    return {
        n: [float(f"{x:.4g}") for x in a] for n, a in zip(names, (edges, *shares), strict=True)
    }


def _read(
    kept: list[MeasuredScan], name: str, protocol: Protocol
) -> tuple[Counts, dict[str, np.ndarray]]:
    """All voxels together, and each area and each of `SINGLES` of each scan, `(N,)`."""
    total, singles = Counts.none(), []
    for measured in kept:
        counts = measured.counts(name, protocol)
        total += counts
        areas = [
            (auroc if kind == 1 else aupro)(counts, up_to).value for kind, up_to in AREAS.values()
        ]
        singles.append([*areas, *(measure(counts) for measure in SINGLES.values())])
    names = (*AREAS, *SINGLES)
    return total, dict(zip(names, np.array(singles).T, strict=True))


def _scan(
    case: Case,
    measured: MeasuredScan,
    evaluator: Evaluator,
    singles: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    picture = evaluator.picture(case)
    areas = {
        area: {name: number(single[area]) for name, single in singles.items()} for area in AREAS
    }
    return {
        "name": case.name,
        "patient": case.patient,
        "sha256": evaluator.digest(case.scan)["sha256"],
        "mask_sha256": evaluator.digest(case.mask)["sha256"] if case.mask else None,
        "lesion_voxels": int(measured.fact("lesion_voxels")),
        "regions": int(measured.fact("regions")),
        "regions_lost": int(measured.fact("regions_lost")),
        "unscored_lesion": number(next(iter(singles.values()))["unscored"]),
        "seconds": round(measured.fact("seconds"), 3),
        **areas,
        "picture": picture.relative_to(evaluator.settings.out).as_posix(),
    }


def _pooled(exact: Bounded, drawn: Estimate) -> dict[str, Any]:
    """The exact number with the interval, which comes from grouped bins."""
    pooled = Estimate(exact.value, drawn.low, drawn.high)
    return {"pooled": plain(pooled), "rounding": number(exact.bound)}


def _rounded(points: np.ndarray) -> list[list[float]]:
    return np.round(points, 5).tolist()
