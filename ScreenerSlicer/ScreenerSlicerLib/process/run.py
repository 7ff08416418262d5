"""One run of a child process in a temporary folder, from what is in memory to what is in memory.

It blocks, so a thread of `BackgroundJob` calls it. No MRML here: threads must not touch the scene.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, final

from ctscreener import owner
from ctscreener.errors import InputError
from ctscreener.whole_file import left_behind
from ScreenerSlicerLib.install import diagnosis
from ScreenerSlicerLib.install.causes import JobError, known
from ScreenerSlicerLib.process.child import ChildProcess
from ScreenerSlicerLib.process.run_log import RunLog
from ScreenerSlicerLib.translation import tr as _

MODULES = Path(__file__).resolve().parents[2]
"""The folder that holds the engine and this package."""
POLL_SECONDS = 0.02
PREFIX = "screener-"
"""How the name of a run's temporary folder begins."""
REMOVE_SECONDS = 5.0
MARGIN_BYTES = 16_000_000

Hear = Callable[[dict[str, Any]], None]
"""Called with each event of the run."""


Check = Callable[[], None]
"""Called between two pieces of work; it stops the work by raising."""
Output_co = TypeVar("Output_co", covariant=True)
"""What comes of a run."""


class Cancelled(Exception):
    """The run was asked to end."""


class Failed(Exception):
    """The run cannot go on.

    Arguments:
        error: Why.
    """

    def __init__(self, error: JobError) -> None:
        super().__init__(str(error))
        self.error = error


class Work(Protocol[Output_co]):
    """What is to be done by a child process, with files that are exchanged in a folder."""

    @property
    def bytes_needed(self) -> float:
        """Room that the files take, about."""
        ...

    def write(self, folder: Path, check: Check) -> None:
        """Write what the child needs; `check` stops the work by raising."""
        ...

    def read(self, folder: Path, record: Mapping[str, Any], check: Check) -> Output_co:
        """Take over what the child has left, and its result event."""
        ...


@dataclass(frozen=True)
class Command:
    """How a child is started.

    Arguments:
        python: The interpreter, with its own arguments if any.
        worker: The module to run.
        arguments: What it is given; files are named relative to the working folder.
        environment: Variables to start from; those of this process when None.
    """

    python: tuple[str, ...]
    worker: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None

    def line(self) -> list[str]:
        """The program and its arguments."""
        return [*self.python, "-m", self.worker, *self.arguments]

    def variables(self) -> dict[str, str]:
        """All variables of the child."""
        base = dict(os.environ if self.environment is None else self.environment)
        places = [str(MODULES), *filter(None, [base.get("PYTHONPATH")])]
        utf8 = {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
        return {**base, **utf8, "PYTHONPATH": os.pathsep.join(places)}


def clear_left_behind(folder: Path | None = None) -> None:
    """Remove the temporary folders, with scans in them, of Slicers that were ended in a run.

    Arguments:
        folder: Where they are made; the system's place when None.
    """
    for left in left_behind(Path(folder or tempfile.gettempdir()), PREFIX):
        shutil.rmtree(left, ignore_errors=True)


@final
class Run(Generic[Output_co]):
    """One run, in a temporary folder of its own that is gone afterwards.

    Arguments:
        work: What is done.
        command: By which program.
        folder: Where the temporary folder is made.
        hear: Told every event, those of the engine and its own.
        log: Takes what is said.

    `ended` is set once neither process nor file is left.
    """

    def __init__(
        self, work: Work[Output_co], command: Command, folder: Path | None, hear: Hear, log: RunLog
    ) -> None:
        self._work = work
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

    def __call__(self) -> Output_co:
        """Do the work.

        Raises:
            Cancelled: It was asked to end.
            Failed: With what to tell the user.
        """
        try:
            self.folder = self._make_folder()
            self._progress("handing over", 0)
            self._work.write(self.folder, self._check)
            self._progress("handing over", 1)
            record = self._run_child(self.folder)
            self._progress("taking over", 0)
            output = self._work.read(self.folder, record, self._check)
            self._progress("taking over", 1)
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
        """Make the folder on a disk with room for what is exchanged; it tells whose it is."""
        clear_left_behind(self._parent)
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{owner.mark()}-", dir=self._parent))
        needed = self._work.bytes_needed + MARGIN_BYTES
        free = shutil.disk_usage(folder).free
        if free < needed:
            folder.rmdir()
            little = _("Expected {needed:.0f} MB free in {folder}, found {free:.0f} MB.")
            found = little.format(needed=needed / 1e6, folder=folder.parent, free=free / 1e6)
            raise InputError("output.disk_full", found, "")
        return folder

    def _run_child(self, folder: Path) -> dict[str, Any]:
        """Start the child and follow it to its end; returns its result event."""
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

    def _remove(self) -> None:
        """Remove the folder once nobody writes there; Windows holds it even longer."""
        until = time.monotonic() + REMOVE_SECONDS
        while self.folder is not None and self.folder.exists() and time.monotonic() < until:
            if self._child is not None and self._child.state == "running":
                self._child.poll()
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
            time.sleep(POLL_SECONDS)


def _explained(error: OSError | MemoryError) -> JobError:
    """Say what an error of the system means."""
    found = known(f"{type(error).__name__}: {error}")
    if found is not None:
        return found
    return JobError(
        "system",
        _("The system refused: {error}.").format(error=error),
        _("Check the temporary folder, and try again."),
    )
