"""One damaged input, drawn from a seed, read by us and by another reader: do they agree?"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from Testing.fuzz import oracles
from Testing.fuzz.dicom_cases import independent, write_case
from Testing.fuzz.scans import write_meta, write_nifti, write_nrrd

# Places differ by the rounding of float32 fields over some hundred millimetres; those of slices,
# which pydicom's reader puts on a line through the ends, by what positions are off such a line.
SAME_MM, SAME_SLICE_MM = 2e-3, 0.3


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


def judge_scan(path: Path, oracle: oracles.Oracle, apart_mm: float = SAME_MM) -> Outcome:
    """Read a scan by ours and by another reader.

    Arguments:
        path: The file or folder.
        oracle: The other reader.
        apart_mm: How far apart a corner may lie.

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
    corners = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in scan.shape))])
    apart = np.abs((scan.affine - affine) @ corners.T).max()
    if not apart <= apart_mm:
        return Outcome(Verdict.DISAGREES, f"corners lie up to {apart:g} mm apart")
    return Outcome(Verdict.SAME)


def write_dicom(folder: Path, rng: np.random.Generator) -> Path:
    """Write a DICOM series with something wrong in it, and return its folder."""
    write_case(folder / "series", rng)
    return folder / "series"


def read_by_pydicom(folder: Path) -> oracles.Image:
    """Read a DICOM folder by pydicom alone.

    Raises:
        ValueError: It makes no volume of it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = independent(folder)
    if found is None:
        raise ValueError("no volume")
    return found


def write_model(folder: Path, rng: np.random.Generator) -> Path:
    """Write a damaged model, and return its folder."""
    # Here, so that the other kinds need not fork a process that holds all of torch.
    from Testing.fuzz import models

    return models.write_model(folder, rng)


def judge_model(folder: Path) -> Outcome:
    """Load a model and use it.

    Arguments:
        folder: The folder of the model.

    Raises:
        InputError: The model is refused.
    """
    from Testing.fuzz.models import use_model

    differs = use_model(folder)
    return Outcome(Verdict.DISAGREES, differs) if differs else Outcome(Verdict.SAME)


KINDS = {
    "nifti": Kind(write_nifti, lambda path: judge_scan(path, oracles.read_nifti)),
    "nrrd": Kind(write_nrrd, lambda path: judge_scan(path, oracles.read_nrrd)),
    "meta": Kind(write_meta, lambda path: judge_scan(path, oracles.read_meta)),
    "dicom": Kind(write_dicom, lambda path: judge_scan(path, read_by_pydicom, SAME_SLICE_MM)),
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
