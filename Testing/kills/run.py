"""Kills: every stage is killed without warning, again and again, and must end as if it never was.

    python Testing/kills/run.py --kills 100 --seed 0 [--stages screen prepare ...]

A stage is started in a process of its own and ended by SIGKILL, half of the times at a random
moment, half of the times just before or just after it brings a file to the disk or renames one. No
file under a final name may then be half-written. It is started again, perhaps killed again, and in
the end must leave the same numbers as a run that nobody disturbed, and nothing besides. A count for
each stage is printed; the exit status is 1 where anything was wrong.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
MOST_IN_A_ROW = 3
WRITES = ("replace", "rename", "fsync")
"""Calls of the system by which a file comes to stand under its name."""


@dataclass
class Count:
    """What came of the kills of one stage."""

    moments: int = 0
    writes: int = 0
    rounds: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """All kills."""
        return self.moments + self.writes


@dataclass(frozen=True)
class Undisturbed:
    """A run to compare with.

    Arguments:
        outcome: What it left.
        seconds: How long it took.
        writes: How many calls of `WRITES` it made.
    """

    outcome: dict[str, Any]
    seconds: float
    writes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, and print the counts.

    Returns:
        1 where a file was half-written or a number differs, else 0.
    """
    from Testing.kills.stages import STAGES

    names = [stage.name for stage in STAGES]
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--kills", type=int, default=100, help="over all stages")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--stages", nargs="+", choices=names, default=names)
    options = flags.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        counts = kill_all(Path(folder), options.stages, options.kills, options.seed)
    print("| stage | kills | at a moment | at a write | ended | half-written or different |")
    print("|---|---|---|---|---|---|")
    for name, count in counts.items():
        row = (name, count.kills, count.moments, count.writes, count.rounds, len(count.faults))
        print("| " + " | ".join(map(str, row)) + " |")
    faults = [f"{name}: {fault}" for name, count in counts.items() for fault in count.faults]
    print("\n".join(faults) or f"{sum(count.kills for count in counts.values())} kills, no fault")
    return 1 if faults else 0


def kill_all(folder: Path, names: Sequence[str], kills: int, seed: int) -> dict[str, Count]:
    """Kill each of some stages in turn, until there have been so many kills.

    Arguments:
        folder: An empty folder for inputs and outputs.
        names: The stages.
        kills: How many kills, over all of them.
        seed: Decides when.
    """
    from Testing.kills.stages import STAGES, make_inputs

    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    warm_up()
    data, rng = folder / "data", random.Random(seed)
    data.mkdir()
    if wait(started(lambda: make_inputs(data) or 0, folder / "log")):
        raise RuntimeError(f"inputs were not made: {(folder / 'log').read_text()}")
    wanted = {name: None for stage in STAGES if stage.name in names for name in stage.needs}
    whole: dict[str, Undisturbed] = {}
    for stage in STAGES:
        if stage.name in names or stage.name in wanted:
            whole[stage.name] = undisturbed(lambda work: stage(data, work), data / stage.name)  # noqa: B023
            note(f"{stage.name}: {whole[stage.name].seconds:.1f} s undisturbed")
    chosen = [stage for stage in STAGES if stage.name in names]
    counts = {stage.name: Count() for stage in chosen}
    left, turn = kills, 0
    while left > 0:
        stage = chosen[turn % len(chosen)]
        count, turn = counts[stage.name], turn + 1
        before = count.kills
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        kill_round(
            lambda work: stage(data, work),  # noqa: B023
            work,
            whole[stage.name],
            count,
            rng,
            min(left, rng.randint(1, MOST_IN_A_ROW)),
        )
        left -= count.kills - before
        note(f"{stage.name}: {count.kills} kills, {len(count.faults)} faults; {left} to go")
    return counts


def note(text: str) -> None:
    """Tell how it is going."""
    print(text, file=sys.stderr, flush=True)


def warm_up() -> None:
    """Load what all stages need, so that their processes, forked off this one, begin at once."""
    import ctscreener.command
    import ctscreener.screening
    import training.ape
    import training.density
    import training.descriptor
    import training.distil
    import training.evaluate
    import training.export
    import training.phantoms.stage
    import training.prepare
    import training.run

    _ = ctscreener, training


def started(run: Callable[[], int], log: Path, at_write: tuple[int, bool] | None = None) -> int:
    """Fork a process that runs something, and return its number.

    Arguments:
        run: What it does; gives its exit status.
        log: Takes what it prints, and the number of its writes at the end.
        at_write: Kill it at which of its writes, and whether after it and not before.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(file, number)
        made = count_writes(at_write)
        status = run()
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"\nwrites {made[0]}".encode())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    finally:
        os._exit(status)


def count_writes(at_write: tuple[int, bool] | None) -> list[int]:
    """Count calls of `WRITES` in this process from now on, and kill it at one of them."""
    made = [0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: object, **more: object) -> object:
            made[0] += 1
            if at_write == (made[0], False):
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **more)
            if at_write == (made[0], True):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    for name in WRITES:
        setattr(os, name, counted(getattr(os, name)))
    return made


def wait(pid: int) -> int:
    """Wait for a process; its exit status, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def undisturbed(run: Callable[[Path], int], work: Path) -> Undisturbed:
    """Run something to its end, and look at what it leaves."""
    from Testing.kills.contents import outcome

    work.mkdir(parents=True)
    log = work.with_name(f"{work.name}.log")
    began = time.monotonic()
    status = wait(started(lambda: run(work), log))
    said = log.read_text(errors="replace")
    if status:
        raise RuntimeError(f"{work.name} ended with {status}: {said}")
    writes = int(said.rpartition("writes ")[2])
    return Undisturbed(outcome(work), time.monotonic() - began, writes)


def kill_round(
    run: Callable[[Path], int],
    work: Path,
    whole: Undisturbed,
    count: Count,
    rng: random.Random,
    kills: int,
) -> None:
    """Kill a stage some times, then let it end, and compare.

    Arguments:
        run: The stage.
        work: An empty place for its output.
        whole: What it leaves undisturbed.
        count: Takes what is found.
        rng: Decides when.
        kills: How often, at most: it may end before a kill comes.
    """
    from Testing.kills.contents import damaged, left_behind, outcome

    work.mkdir()
    log = work.with_name("work.log")
    for _ in range(kills):
        if rng.random() < 0.5:
            at_write = (rng.randint(1, whole.writes), rng.random() < 0.5)
            killed = wait(started(lambda: run(work), log, at_write)) == -signal.SIGKILL
            count.writes += killed
        else:
            pid = started(lambda: run(work), log)
            killed = kill_later(pid, rng.uniform(0, whole.seconds))
            count.moments += killed
        count.faults += [f"half-written {fault}" for fault in damaged(work)]
        if not killed:
            break
    count.rounds += 1
    status = wait(started(lambda: run(work), log))
    if status:
        count.faults.append(f"ended with {status}: {log.read_text(errors='replace')[-2000:]}")
        return
    count.faults += [f"left behind {name}" for name in left_behind(work)]
    found = outcome(work)
    names = sorted(set(found) | set(whole.outcome))
    count.faults += [
        f"different {name}" for name in names if found.get(name) != whole.outcome.get(name)
    ]


def kill_later(pid: int, seconds: float) -> bool:
    """Kill a process after some time; whether it was still running."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    return wait(pid) == -signal.SIGKILL


if __name__ == "__main__":
    raise SystemExit(main())
