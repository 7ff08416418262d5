"""Kills of a cohort: worker, scheduler and client, and in the end the table of a quiet run.

    python Testing/kills/cohort.py --scans 200 --kills 10 --seed 0

Small made-up CTs are screened by a model of few weights, over a scheduler and two workers that are
processes of their own on 127.0.0.1, as a service would keep them: whichever has ended is started
again. At random moments one of them, or the client, is ended by SIGKILL. In the end the table, the
findings and the maps must be those of a run over a cluster of its own that nobody disturbed, and
nothing else may be left. With --local a run over a cluster of its own is stopped by Ctrl-C, and one
is killed with it. The exit status is 1 where anything was wrong.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]
VICTIMS = ("worker", "scheduler", "client")
APART = 3
"""Scans that are done between two kills: a scan at which two workers end is set aside."""
FRESH = ("seconds", "path")
"""Columns in which two runs may differ."""


@dataclass
class Service:
    """A scheduler and two workers that are started again whenever they have ended.

    Arguments:
        folder: Takes what they print.
    """

    folder: Path
    port: int = 0
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find a free port."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"tcp://127.0.0.1:{self.port}"

    def keep(self) -> None:
        """Start whatever does not run."""
        scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port)]
        worker = ["dask_worker", self.address, "--nthreads", "1", "--memory-limit", "4GiB"]
        # A worker that finds no scheduler ends, and is started again.
        worker += ["--death-timeout", "60", "--local-directory", str(self.folder)]
        commands = {
            "scheduler": [*scheduler, "--dashboard-address", "127.0.0.1:0"],
            "worker 1": [*worker, "--name", "1"],
            "worker 2": [*worker, "--name", "2"],
        }
        for name, words in commands.items():
            if name not in self.processes or self.processes[name].poll() is not None:
                words = [f"distributed.cli.{words[0]}", *words[1:]]
                self.processes[name] = started(words, self.folder / f"{name}.log")

    def end(self) -> None:
        """End all."""
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def started(words: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a module of Python as a process."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ScreenerSlicer")]),
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    with log.open("ab") as to:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=to,
            stderr=to,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, compare and tell.

    Returns:
        1 where anything differs, else 0.
    """
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--scans", type=int, default=200)
    flags.add_argument("--kills", type=int, default=10)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--local", action="store_true")
    options = flags.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        faults, kills, seconds = kill_cohort(
            Path(folder), options.scans, options.kills, options.seed
        )
        if options.local:
            faults += stopped_locally(Path(folder))
    told = ", ".join(f"{name} {count}" for name, count in sorted(kills.items()))
    print(
        f"{options.scans} scans, kills: {told}; quiet {seconds[0]:.0f} s, killed {seconds[1]:.0f} s"
    )
    print("\n".join(faults) or "no fault: the table, all findings and all maps are the same")
    return 1 if faults else 0


def kill_cohort(
    folder: Path, scans: int, kills: int, seed: int
) -> tuple[list[str], Counter[str], tuple[float, float]]:
    """Screen a cohort quietly and disturbed.

    Arguments:
        folder: An empty folder.
        scans: How many.
        kills: How often.
        seed: Decides when and whom.

    Returns:
        What is wrong, how often each was killed, and the seconds of both runs.
    """
    from Testing.cohort.made_up import make_model, make_scans

    make_scans(folder / "scans", scans)
    make_model(folder / "model")
    began = time.monotonic()
    quiet = client(folder, "quiet", ["--workers", "2"])
    status = quiet.wait()
    middle = time.monotonic()
    faults = [f"the quiet run ended with {status}: {log_of(folder, 'quiet')}"] if status else []
    service, killed = Service(folder), Counter[str]()
    try:
        status = disturbed(folder, service, kills, random.Random(seed), killed)
    finally:
        service.end()
    if status:
        faults.append(f"the killed run ended with {status}: {log_of(folder, 'killed')}")
    # Of a client that was killed right after its scheduler nobody hears.
    told = (folder / "killed.log").read_text(errors="replace").count("[cohort.scheduler_lost]")
    if told > killed["scheduler"]:
        faults.append(f"{killed['scheduler']} ends of a scheduler were told {told} times")
    faults += compared(folder / "quiet", folder / "killed")
    return faults, killed, (middle - began, time.monotonic() - middle)


def stopped_locally(folder: Path) -> list[str]:
    """Stop a run over its own cluster by Ctrl-C, kill it, let it end; say what is wrong."""
    rows = "local/runs/*/scans/*/row.json"
    total = len(list((folder / "scans").iterdir()))
    for number, how in enumerate((signal.SIGINT, signal.SIGKILL), start=1):
        running = client(folder, "local", ["--workers", "2"])
        while running.poll() is None and len(list(folder.glob(rows))) < number * total / 3:
            time.sleep(0.05)
        # As a terminal does: the client and all that it has started.
        os.killpg(running.pid, how) if how == signal.SIGINT else running.kill()
        running.wait()
    told = log_of(folder, "local")
    status = client(folder, "local", ["--workers", "2"]).wait()
    faults = [f"the stopped run ended with {status}: {log_of(folder, 'local')}"] if status else []
    if told.count("[stopped]") != 1 or "Traceback" in told:
        faults.append(f"Ctrl-C was told otherwise than by one line: {told}")
    return faults + compared(folder / "quiet", folder / "local")


def client(folder: Path, name: str, more: list[str]) -> "subprocess.Popen[bytes]":
    """Start the command."""
    words = ["ctscreener", "cohort", str(folder / "scans"), "--out", str(folder / name)]
    words += ["--model", str(folder / "model"), "--device", "cpu", *more]
    return started(words, folder / f"{name}.log")


def log_of(folder: Path, name: str) -> str:
    """The end of what a client printed."""
    return (folder / f"{name}.log").read_text(errors="replace")[-2000:]


def disturbed(
    folder: Path, service: Service, kills: int, rng: random.Random, killed: Counter[str]
) -> int:
    """Run the command over a service, killing at random; its exit status at the end."""
    more = ["--scheduler", service.address]
    service.keep()
    running = client(folder, "killed", more)
    victims = [VICTIMS[k % len(VICTIMS)] for k in range(kills)]
    rng.shuffle(victims)
    total = len(list((folder / "scans").iterdir()))
    # Kills are spread over the scans: the k-th comes after so many are done.
    after = [round((k + rng.random()) * total / (kills + 1)) for k in range(kills)]
    while running.poll() is None:
        service.keep()
        done = len(list(folder.glob("killed/runs/*/scans/*/row.json")))
        if victims and done >= after[0]:
            time.sleep(rng.uniform(0, 0.5))
            victim = victims.pop()
            if kill(victim, service, running):
                killed[victim] += 1
            after = [max(at, done + APART) for at in after[1:]]
            if running.poll() is not None and victim == "client":
                running = client(folder, "killed", more)
        time.sleep(0.05)
    return running.returncode


def kill(victim: str, service: Service, running: "subprocess.Popen[bytes]") -> bool:
    """Kill one of them without warning; whether it was there."""
    if victim == "client":
        running.kill()
        running.wait()
        return True
    if victim == "scheduler":
        service.processes["scheduler"].kill()
        service.processes["scheduler"].wait()
        return True
    import psutil

    for name in ("worker 1", "worker 2"):
        for child in psutil.Process(service.processes[name].pid).children():
            # The nanny's child that works, beside Python's own that tracks resources.
            if "spawn_main" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                return True
    return False


def compared(quiet: Path, killed: Path) -> list[str]:
    """Compare two cohorts, times and places left out."""
    faults = [f"left behind {path}" for path in killed.rglob("*.screener*")]
    one, other = table_of(quiet), table_of(killed)
    if one != other:
        differ = [scan for scan in one.keys() | other.keys() if one.get(scan) != other.get(scan)]
        faults.append(f"other rows: {', '.join(sorted(differ)[:9])}")
    names = {path.relative_to(quiet) for path in quiet.glob("runs/*/scans/*/*")}
    others = {path.relative_to(killed) for path in killed.glob("runs/*/scans/*/*")}
    faults += [f"only in one: {name}" for name in sorted(names ^ others)]
    for name in sorted(names & others):
        if name.name != "row.json" and said(quiet / name) != said(killed / name):
            faults.append(f"different: {name}")
    return faults


def table_of(cohort: Path) -> dict[str, dict[str, Any]]:
    """Rows by id, without times."""
    import pyarrow.parquet as pq

    if not (cohort / "cohort.parquet").is_file():
        return {}
    rows = pq.read_table(cohort / "cohort.parquet").to_pylist()
    return {row["id"]: {k: v for k, v in row.items() if k not in FRESH} for row in rows}


def said(path: Path) -> object:
    """What a file says, without times."""
    if path.suffix == ".json":
        record = json.loads(path.read_text())
        record["provenance"].pop("seconds")
        return record
    return path.read_bytes()


if __name__ == "__main__":
    raise SystemExit(main())
