"""Read damaged inputs until something goes wrong, each in a process of its own with limits.

    python -m Testing.fuzz --cases 2000 --seed 7            of every kind
    python -m Testing.fuzz --kinds nrrd,meta --cases 500
    python -m Testing.fuzz --replay nrrd:7:123 --keep DIR   one case, its files kept

Ends with a line a kind, and exit status 1 where a case has to be mended. Linux only.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from Testing.fuzz.cases import KINDS, Verdict
from Testing.fuzz.process import Case, run_case


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Arguments:
        argv: What follows the command's name; that of this process by default.

    Returns:
        0 where every case was read right or refused, else 1.
    """
    parser = argparse.ArgumentParser("python -m Testing.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS), help="with commas between them")
    parser.add_argument("--replay", metavar="KIND:SEED:INDEX", help="run this case alone")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep its files here")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    options = parser.parse_args(argv)
    if options.replay:
        kind, seed, index = options.replay.split(":")
        outcome = run_case(Case(kind, int(seed), int(index)), options.keep)
        print(f"{outcome.verdict}: {outcome.text}")
        return int(not outcome.verdict.fine)
    counts = [
        run_kind(kind, options.seed, options.cases, options.verbose)
        for kind in options.kinds.split(",")
    ]
    return int(
        any(count and not verdict.fine for each in counts for verdict, count in each.items())
    )


def run_kind(kind: str, seed: int, cases: int, verbose: bool = False) -> Counter[Verdict]:
    """Run the cases of one kind, and tell each that has to be mended.

    Arguments:
        kind: One of `KINDS`.
        seed: Seed of all cases.
        cases: How many.
        verbose: Whether to tell the others too.

    Returns:
        How often each verdict was given.
    """
    began = time.monotonic()
    counts: Counter[Verdict] = Counter()
    for index in range(cases):
        outcome = run_case(Case(kind, seed, index))
        counts[outcome.verdict] += 1
        if verbose or not outcome.verdict.fine:
            print(f"{kind}:{seed}:{index} {outcome.verdict}: {outcome.text[:300]}", flush=True)
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    faults = sum(count for verdict, count in counts.items() if not verdict.fine)
    seconds = time.monotonic() - began
    print(f"{kind}: {cases} cases in {seconds:.0f} s: {told}; {faults} to mend", flush=True)
    return counts


if __name__ == "__main__":
    sys.exit(main())
