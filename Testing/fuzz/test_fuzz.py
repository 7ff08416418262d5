"""Some hundred damaged inputs are read right or refused, and the command would see if not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from Testing.fuzz.cases import KINDS, Kind, Outcome, Verdict, judge_scan
from Testing.fuzz.oracles import read_meta
from Testing.fuzz.process import Case, Limits, in_child, run_case
from Testing.fuzz.scans import write_meta

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
LITTLE = Limits(memory_bytes=1 << 28, cpu_seconds=1, wall_seconds=2)


def command(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that has started no threads, so that it can fork."""
    return subprocess.run(
        [sys.executable, "-m", "Testing.fuzz", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.mark.parametrize(
    ("kinds", "cases"), [("nifti,nrrd,meta", 80), ("dicom", 30), ("model", 8)]
)
def test_damaged_inputs_are_read_right_or_refused(kinds: str, cases: int) -> None:
    told = command("--kinds", kinds, "--cases", str(cases), "--seed", "3")
    assert told.returncode == 0, told.stdout + told.stderr
    for kind in kinds.split(","):
        assert f"{kind}: {cases} cases" in told.stdout
    assert "same" in told.stdout
    assert "refused" in told.stdout


def ends(how: Callable[[], object]) -> Kind:
    """A kind of input whose reading ends in some way."""

    def judge(_: Path) -> Outcome:
        how()
        return Outcome(Verdict.SAME)

    return Kind(lambda folder, _: folder, judge)


def refuse(text: str) -> None:
    """Refuse with a text."""
    error = InputError("a", "b", "c")
    error.args = (text,)
    raise error


def loop() -> None:
    """Go on for ever."""
    while True:
        pass


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        (lambda: None, Verdict.SAME),
        (lambda: refuse("one line"), Verdict.REFUSED),
        (lambda: refuse("\x1b[31m"), Verdict.UNCAUGHT),
        (lambda: 1 / 0, Verdict.UNCAUGHT),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), Verdict.CRASH),
        (lambda: os._exit(3), Verdict.CRASH),
        (lambda: np.ones(1 << 27), Verdict.LIMIT),
        (lambda: os.read(os.pipe()[0], 1), Verdict.LIMIT),
        (loop, Verdict.LIMIT),
    ],
    ids=["read", "refused", "two lines", "uncaught", "signal", "exit", "memory", "wait", "cpu"],
)
def test_every_end_is_told(tmp_path: Path, how: Callable[[], object], verdict: Verdict) -> None:
    assert in_child(ends(how), tmp_path, LITTLE).verdict == verdict


def test_other_voxels_or_another_place_are_seen(tmp_path: Path) -> None:
    path = next(
        tmp_path / str(index)
        for index in range(100)
        if run_case(Case("nrrd", 0, index), tmp_path / str(index)).verdict == Verdict.SAME
    )
    (scan,) = path.glob("scan.*")
    values, affine = None, None

    def remember(image: Path) -> tuple[np.ndarray, np.ndarray]:
        nonlocal values, affine
        from Testing.fuzz.oracles import read_nrrd

        values, affine = read_nrrd(image)
        return values, affine

    assert judge_scan(scan, remember).verdict == Verdict.SAME
    assert values is not None
    assert affine is not None
    for wrong in ((values[::-1], affine), (values, affine + 0.1), (values[1:], affine)):
        found = judge_scan(scan, lambda _, wrong=wrong: wrong)
        assert found.verdict == Verdict.DISAGREES
    assert judge_scan(scan, lambda _: {}[1]).verdict == Verdict.ALONE


def test_a_header_without_a_last_line_break_is_read_by_both(tmp_path: Path) -> None:
    path = write_meta(tmp_path, np.random.default_rng([2601, 1240, *b"meta"]))
    assert path.suffix == ".mhd"
    assert not path.read_bytes().endswith(b"\n")
    assert judge_scan(path, read_meta).verdict == Verdict.SAME


def test_a_case_is_the_same_each_time(tmp_path: Path) -> None:
    for name, kind in KINDS.items():
        if name == "model":
            continue
        written = []
        for place in ("a", "b"):
            folder = tmp_path / name / place
            folder.mkdir(parents=True)
            rng = np.random.default_rng([0, 1, *name.encode()])
            kind.write(folder, rng)
            files = [path for path in folder.rglob("*") if path.is_file()]
            written.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
        assert written[0] == written[1]
