"""One run of the engine as a child process, from the scan in memory to the map in memory.

It blocks, so a thread of `ScreenJob` calls it. No MRML here: threads must not touch the scene.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from ctscreener.errors import InputError
from ctscreener.findings import Finding
from ctscreener.scan import Scan
from ScreenerSlicerLib.install import diagnosis
from ScreenerSlicerLib.process.child import ChildProcess
from ScreenerSlicerLib.process.nrrd_file import read_map, write_scan
from ScreenerSlicerLib.process.run_log import RunLog

MODULES = Path(__file__).resolve().parents[2]
"""The folder that holds the engine and this package."""
POLL_SECONDS = 0.02
REMOVE_SECONDS = 5.0
MARGIN_BYTES = 16_000_000

Hear = Callable[[dict[str, Any]], None]
"""Called with each event of the run."""


class Cancelled(Exception):
    """The run was asked to end."""


class Failed(Exception):
    """The run cannot go on.

    Arguments:
        error: Why.
    """

    def __init__(self, error: diagnosis.JobError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class ScreenOutput:
    """What a run found.

    Arguments:
        rarity: float32 in the array order of the scan, `(D, H, W)`, NaN where not scored.
        findings: Regions above the threshold, rarest first.
        provenance: Model, hashes, parameters, device and seconds: plain JSON.
    """

    rarity: np.ndarray
    findings: list[Finding]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """How the engine is started.

    Arguments:
        python: The interpreter, with its own arguments if any.
        worker: The module to run: the engine, or the stub of the self tests.
        options: What follows the scan and the result folder.
        environment: Variables to start from; those of this process when None.
    """

    python: tuple[str, ...]
    options: tuple[str, ...] = ()
    worker: str = "ctscreener"
    environment: Mapping[str, str] | None = None

    def line(self) -> list[str]:
        """The program and its arguments; files are named relative to the working folder."""
        fixed = ["screen", "scan.nrrd", "--out", "result", "--events"]
        return [*self.python, "-m", self.worker, *fixed, *self.options]

    def variables(self) -> dict[str, str]:
        """All variables of the child."""
        base = dict(os.environ if self.environment is None else self.environment)
        places = [str(MODULES), *filter(None, [base.get("PYTHONPATH")])]
        utf8 = {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
        return {**base, **utf8, "PYTHONPATH": os.pathsep.join(places)}


@final
class Run:
    """One run, in a temporary folder of its own that is gone afterwards.

    Arguments:
        scan: What is screened.
        command: How.
        folder: Where the temporary folder is made.
        hear: Told every event, those of the engine and its own.
        log: Takes what is said.

    `ended` is set once neither process nor file is left.
    """

    def __init__(
        self, scan: Scan, command: Command, folder: Path | None, hear: Hear, log: RunLog
    ) -> None:
        self._scan = scan
        self._command = command
        self._parent = folder
        self._hear = hear
        self._log = log
        self._child: ChildProcess | None = None
        self._stop = False
        self.folder: Path | None = None
        self.ended = threading.Event()

    def stop(self) -> None:
        """Ask the run to end; returns at once, from any thread."""
        self._stop = True

    def kill(self) -> None:
        """End the child and all it started at once, then the run."""
        self._stop = True
        if self._child is not None:
            self._child.kill()

    def __call__(self) -> ScreenOutput:
        """Screen the scan.

        Raises:
            Cancelled: It was asked to end.
            Failed: With what to tell the user.
        """
        try:
            self.folder = self._make_folder()
            self._write(self.folder)
            record = self._screen(self.folder)
            output = self._read(self.folder, record)
            self._check()
            return output
        except InputError as error:
            told = diagnosis.explain(error.code, error.message, error.action)
            raise Failed(told) from error
        except (OSError, MemoryError) as error:
            raise Failed(_explained(error)) from error
        finally:
            if self._child is not None:
                self._child.kill()
            self._remove()
            self.ended.set()

    def _check(self) -> None:
        if self._stop:
            raise Cancelled

    def _progress(self, stage: str, done: int) -> None:
        self._tell({"event": "progress", "stage": stage, "done": done, "total": 1})

    def _tell(self, event: dict[str, Any]) -> None:
        self._log.add(event)
        self._hear(event)

    def _make_folder(self) -> Path:
        """Make the folder on a disk with room for the scan and the map."""
        folder = Path(tempfile.mkdtemp(prefix="screener-", dir=self._parent))
        needed = 8 * self._scan.hu.size + MARGIN_BYTES
        free = shutil.disk_usage(folder).free
        if free < needed:
            folder.rmdir()
            raise InputError(
                "output.disk_full",
                f"Expected {needed / 1e6:.0f} MB free in {folder.parent}, found "
                f"{free / 1e6:.0f} MB.",
                "",
            )
        return folder

    def _write(self, folder: Path) -> None:
        self._progress("handing over", 0)
        write_scan(folder / "scan.nrrd", self._scan, self._check)
        # From here on its shape is enough: the voxels are not kept alive for hours.
        self._scan = Scan(np.broadcast_to(np.float32(0), self._scan.shape), self._scan.affine)
        self._progress("handing over", 1)

    def _screen(self, folder: Path) -> dict[str, Any]:
        """Run the engine; returns its result event."""
        self._check()
        self._progress("starting", 0)
        child = ChildProcess(self._command.line(), folder, self._command.variables())
        child.start()
        self._child = child
        last: dict[str, Any] = {}
        while child.state != "ended":
            if self._stop:
                child.cancel()
            for event in child.poll():
                self._tell(event)
                last = event if event.get("event") in ("result", "error") else last
            time.sleep(POLL_SECONDS)
        for line in child.stderr_tail().splitlines():
            self._log.add({"stderr": line})
        self._check()
        return self._judged(child, last)

    def _judged(self, child: ChildProcess, last: dict[str, Any]) -> dict[str, Any]:
        """Tell a result from an error and from an end without either.

        A result was whole when it was told: a driver that crashes afterwards takes nothing away.
        """
        log = child.stderr_tail()
        if last.get("event") == "error":
            code, message, action = (str(last.get(p, "")) for p in ("code", "message", "action"))
            raise Failed(diagnosis.explain(code, message, action, log))
        if last.get("event") != "result":
            raise Failed(diagnosis.died(child.returncode, log))
        return last

    def _read(self, folder: Path, record: dict[str, Any]) -> ScreenOutput:
        self._progress("taking over", 0)
        rarity = read_map(folder / "result" / "anomaly.nrrd", self._scan, self._check)
        try:
            findings = [finding_of(row) for row in record["findings"]]
            output = ScreenOutput(rarity, findings, record["provenance"])
        except (KeyError, TypeError) as error:
            raise InputError(
                "result.unreadable",
                f"Expected findings and their provenance, found {error!r}.",
                "Screen the volume again.",
            ) from error
        self._progress("taking over", 1)
        return output

    def _remove(self) -> None:
        """Remove the folder once nobody writes there; Windows holds it even longer."""
        until = time.monotonic() + REMOVE_SECONDS
        while self.folder is not None and self.folder.exists() and time.monotonic() < until:
            if self._child is not None and self._child.state == "running":
                self._child.poll()
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
            time.sleep(POLL_SECONDS)


def finding_of(row: Mapping[str, Any]) -> Finding:
    """Make a finding of its JSON.

    Raises:
        TypeError: A field is missing or unknown.
    """
    plain: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in row.items()
    }
    return Finding(**plain)


def _explained(error: OSError | MemoryError) -> diagnosis.JobError:
    """Say what an error of the system means."""
    found = diagnosis.known(f"{type(error).__name__}: {error}")
    if found is not None:
        return found
    return diagnosis.JobError(
        "system", f"The system refused: {error}.", "Check the temporary folder, and try again."
    )


def arguments(options: Mapping[str, object | Sequence[object]]) -> tuple[str, ...]:
    """Turn options into arguments; what is None is left out.

    Example:
        >>> arguments({"--overlap": 0.5, "--region": (-1.0, 2.0), "--model": None})
        ('--overlap', '0.5', '--region', '-1', '2')
    """
    line: list[str] = []
    for name, value in options.items():
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            line += [name, *map(_argument, values)]
    return tuple(line)


def _argument(value: object) -> str:
    # No exponent: argparse takes -1e-05 for an option.
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
