"""What the paper finds by comparing rows of its tables, and whether our rows say the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.rated import SCREENER
from training.evaluation.results import Results
from training.page.printed import COLUMNS, TABLE_3, TABLE_4

Method = tuple[str, str, str]
RESAMPLES = 2000
PRINTED_STEP = 0.005
"""Half the step of printed numbers: a smaller mean difference has no direction."""


@dataclass(frozen=True)
class Claim:
    """One row is better than another.

    Arguments:
        text: The finding, in words.
        better: Descriptor, condition and density of the better row.
        worse: Those of the other.
    """

    text: str
    better: Method
    worse: Method


def _claim(text: str, better: str, worse: str) -> Claim:
    def method(words: str) -> Method:
        descriptor, condition, density = words.split("; ")
        return descriptor, condition, density

    return Claim(text, method(better), method(worse))


_V32 = "VICReg, d = 32"
CLAIMS = (
    _claim(
        "A flow beats a Gaussian, without a condition",
        f"{_V32}; none; flow",
        f"{_V32}; none; Gaussian",
    ),
    _claim(
        "A flow beats a Gaussian, given positions",
        f"{_V32}; sin-cos; flow",
        f"{_V32}; sin-cos; Gaussian",
    ),
    _claim(
        "The masking-invariant condition helps the Gaussian",
        f"{_V32}; masking-invariant; Gaussian",
        f"{_V32}; none; Gaussian",
    ),
    _claim(
        "It helps the Gaussian more than positions do",
        f"{_V32}; masking-invariant; Gaussian",
        f"{_V32}; sin-cos; Gaussian",
    ),
    _claim(
        "It changes little for a flow", f"{_V32}; masking-invariant; flow", f"{_V32}; none; flow"
    ),
    _claim("128 channels beat 32", "VICReg, d = 128; none; flow", f"{_V32}; none; flow"),
    _claim("VICReg beats SimCLR", f"{_V32}; none; flow", "SimCLR, d = 32; none; flow"),
)


@dataclass(frozen=True)
class Verdict:
    """A claim beside what was measured.

    Arguments:
        claim: The claim.
        printed: Difference of AUROC in the paper, mean over its four sets.
        ours: The same on our sets, from the means over scans.
        low: Lower end of its 95% interval, drawing scans anew; NaN for fewer than two.
        high: Upper end.
    """

    claim: Claim
    printed: float
    ours: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """What our scans say of it."""
        decided = np.isfinite(self.low) and not self.low <= 0 <= self.high
        if abs(self.printed) < PRINTED_STEP:
            found = "a difference" if decided else "no difference was found"
            return f"{found}; the paper has none"
        if not decided:
            return "not decided: the interval holds 0"
        return "the same direction" if (self.ours > 0) == (self.printed > 0) else "the reverse"


def verdicts(results: Sequence[Results], protocol: str) -> list[Verdict]:
    """Compare those rows that were measured.

    Arguments:
        results: The contents of each `results.json`.
        protocol: Which voxels count.
    """
    by_method = {tuple(result["method"].values()): result for result in results}
    printed = {row.method: row for table in (TABLE_3, TABLE_4) for row in table.rows}
    found = []
    for claim in CLAIMS:
        pair = [by_method.get(method) for method in (claim.better, claim.worse)]
        if pair[0] is None or pair[1] is None:
            continue
        sets = paired(pair[0], pair[1], protocol)
        if not sets:
            continue
        above, below = (
            np.array(printed[method].numbers[: len(COLUMNS)])
            for method in (claim.better, claim.worse)
        )
        difference = float((above - below).mean())
        ours = float(np.mean([some.mean() for some in sets]))
        found.append(Verdict(claim, difference, ours, *_interval(sets)))
    return found


def paired(better: Results, worse: Results, protocol: str) -> list[np.ndarray]:
    """Differences of AUROC on the same scans, one array a set; sets without such left out."""
    known = [
        {
            (part["set"], scan["name"]): scan["auroc"][SCREENER]
            for part in result["sets"]
            if part["protocol"] == protocol
            for scan in part["scans"]
            if scan["auroc"][SCREENER] is not None
        }
        for result in (better, worse)
    ]
    both = sorted(known[0].keys() & known[1].keys())
    return [
        np.array([known[0][key] - known[1][key] for key in both if key[0] == name])
        for name in dict.fromkeys(key[0] for key in both)
    ]


def _interval(sets: Sequence[np.ndarray]) -> tuple[float, float]:
    """95% interval of the mean over sets, drawing the scans of each set anew."""
    if min(map(len, sets)) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    drawn = [
        some[rng.integers(0, len(some), (RESAMPLES, len(some)))].mean(axis=1) for some in sets
    ]
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    return float(low), float(high)
