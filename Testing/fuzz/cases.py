"""One damaged input, drawn from a seed, read by us and by another reader: do they agree?"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from Testing.fuzz import oracles
from Testing.fuzz.models import use_model, write_model
from Testing.fuzz.scans import write_meta, write_nifti, write_nrrd

# Affines differ by the rounding of float32 fields over some hundred millimetres.
SAME_MM = 1e-3


class Verdict(StrEnum):
    """What came of a case; the first two are as they should be."""

    SAME = "same"
    REFUSED = "refused"
    DISAGREES = "silent disagreement"
    ALONE = "read, though the other reader refuses"
    UNCAUGHT = "uncaught"
    CRASH = "crash"
    LIMIT = "limit"

    @property
    def fine(self) -> bool:
        """Whether nothing has to be mended."""
        return self in (Verdict.SAME, Verdict.REFUSED)


@dataclass(frozen=True)
class Outcome:
    """A verdict, and the words that go with it."""

    verdict: Verdict
    text: str = ""


Write = Callable[[Path, np.random.Generator], Path]
Judge = Callable[[Path], Outcome]


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Arguments:
        write: Writes a damaged one into a folder, and returns what to read.
        judge: Reads it, or raises InputError.
    """

    write: Write
    judge: Judge


def judge_scan(path: Path, oracle: oracles.Oracle) -> Outcome:
    """Read a scan by ours and by another reader.

    Arguments:
        path: The file or folder.
        oracle: The other reader.

    Raises:
        InputError: Ours refuses.
    """
    scan = read_scan(path)
    try:
        with np.errstate(all="ignore"):
            values, affine = oracle(path)
    except Exception as refusal:  # noqa: BLE001 - whatever another reader raises is a refusal
        return Outcome(Verdict.ALONE, f"{type(refusal).__name__}: {refusal}")
    if values.shape != scan.shape:
        return Outcome(Verdict.DISAGREES, f"shape {scan.shape}, not {values.shape}")
    if not np.allclose(scan.hu, values.astype(np.float32), rtol=1e-6, atol=1e-3):
        apart = np.abs(scan.hu - values).max()
        return Outcome(Verdict.DISAGREES, f"values differ by up to {apart:g}")
    mine = scan.affine[:, [2, 1, 0, 3]]
    if not np.allclose(mine, affine, rtol=1e-5, atol=SAME_MM):
        return Outcome(Verdict.DISAGREES, f"affine {mine.tolist()}, not {affine.tolist()}")
    return Outcome(Verdict.SAME)


def judge_model(folder: Path) -> Outcome:
    """Load a model and use it.

    Arguments:
        folder: The folder of the model.

    Raises:
        InputError: The model is refused.
    """
    differs = use_model(folder)
    return Outcome(Verdict.DISAGREES, differs) if differs else Outcome(Verdict.SAME)


KINDS = {
    "nifti": Kind(write_nifti, lambda path: judge_scan(path, oracles.read_nifti)),
    "nrrd": Kind(write_nrrd, lambda path: judge_scan(path, oracles.read_nrrd)),
    "meta": Kind(write_meta, lambda path: judge_scan(path, oracles.read_meta)),
    "model": Kind(write_model, judge_model),
}


def decide(kind: Kind, path: Path) -> Outcome:
    """Read one input and say what came of it.

    Arguments:
        kind: What it is.
        path: Where it is.
    """
    try:
        return kind.judge(path)
    except InputError as refusal:
        if not str(refusal).isprintable():
            return Outcome(Verdict.UNCAUGHT, f"an error of more than one line: {refusal!r}")
        return Outcome(Verdict.REFUSED, f"{refusal.code}: {refusal}")
    except MemoryError:
        return Outcome(Verdict.LIMIT, "memory")
    except Exception as fault:  # noqa: BLE001 - what nothing caught is what is looked for
        return Outcome(Verdict.UNCAUGHT, f"{type(fault).__name__}: {fault}")
