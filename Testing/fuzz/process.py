"""One case in a process of its own, which may crash, fill its memory or never end."""

import json
import os
import resource
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from Testing.fuzz.cases import KINDS, Kind, Outcome, Verdict, decide


@dataclass(frozen=True)
class Limits:
    """What reading one input may take."""

    memory_bytes: int = 2 << 30
    """Beyond what the process had before."""
    cpu_seconds: int = 20
    wall_seconds: int = 600
    """On a machine that others use too."""


@dataclass(frozen=True)
class Case:
    """What a case is drawn from.

    Arguments:
        kind: One of `KINDS`.
        seed: Seed of all cases of a run.
        index: Which of them.
    """

    kind: str
    seed: int
    index: int


def run_case(case: Case, keep: Path | None = None) -> Outcome:
    """Write the input of a case, read it in a child process, and say what came of it.

    Arguments:
        case: The case.
        keep: A folder in which its files stay.
    """
    kind = KINDS[case.kind]
    with _folder(keep) as folder:
        rng = np.random.default_rng([case.seed, case.index, *case.kind.encode()])
        path = kind.write(folder, rng)
        before = sorted(folder.rglob("*"))
        outcome = in_child(kind, path)
        if sorted(folder.rglob("*")) != before:
            return Outcome(Verdict.UNCAUGHT, "left something behind")
        return outcome


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Make a folder, and clear it away unless it is to be kept."""
    folder = keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if keep is None:
            shutil.rmtree(folder)


def in_child(kind: Kind, path: Path, limits: Limits = Limits()) -> Outcome:
    """Read an input in a child process.

    Arguments:
        kind: What it is.
        path: Where it is.
        limits: What the child may take.

    Returns:
        What came of it, or how the child ended where it could not tell.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(kind, path, writing, limits)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        late = not select.select([pipe], [], [], limits.wall_seconds)[0]
        if late:
            os.kill(child, signal.SIGKILL)
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if late:
        return Outcome(Verdict.LIMIT, f"more than {limits.wall_seconds} s")
    if os.WIFSIGNALED(status):
        ended = signal.Signals(os.WTERMSIG(status))
        verdict = Verdict.LIMIT if ended == signal.SIGXCPU else Verdict.CRASH
        return Outcome(verdict, ended.name)
    if not told:
        return Outcome(Verdict.CRASH, f"exit status {status >> 8}")
    # Words alone: the child has read what may be hostile.
    verdict, text = json.loads(told)
    return Outcome(Verdict(verdict), text)


def _child(kind: Kind, path: Path, writing: int, limits: Limits) -> NoReturn:
    """Read the input within limits of memory and time, and send the outcome."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = 1
    try:
        outcome = decide(kind, path)
        os.write(writing, json.dumps([outcome.verdict, outcome.text]).encode())
        status = 0
    finally:
        # Not the exit of the parent that was copied: no handlers, no buffers.
        os._exit(status)
