"""A screening as a user sees it: start, watch, cancel, and look at what was found.

It drives a job and puts what comes of it into the scene. The panel, the Python interface and any
other host call `poll` from a timer; nothing here waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, final

import slicer

from ctscreener.findings import FindingSettings
from ctscreener.scan import Scan
from ScreenerSlicerLib.install.causes import JobError
from ScreenerSlicerLib.placement import Taking
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest, screen_job
from ScreenerSlicerLib.process.timeline import JobProgress
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene import companions
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import Fingerprint, shared_scan_of

logger = logging.getLogger(__name__)

TURN_SECONDS = 0.01
"""After so long a turn of the event loop begins no other piece of work."""

State = Literal["idle", "running", "cancelling", "done", "failed", "cancelled", "dropped"]
JobState = Literal["ready", "running", "cancelling", "done", "failed", "cancelled"]


class Job(Protocol):
    """What a screening asks of a job; that of `screen_job` is one, tests bring others."""

    @property
    def state(self) -> JobState:
        """Where the job is."""
        ...

    @property
    def error(self) -> JobError | None:
        """Why it failed."""
        ...

    def start(self) -> None:
        """Begin."""

    def poll(self) -> JobProgress | None:
        """Return the newest progress, if there is any."""

    def cancel(self) -> None:
        """Ask it to end."""

    def output(self) -> ScreenOutput:
        """Return what was found."""
        ...

    def close(self) -> None:
        """End it at once, and drop what it holds."""


NewJob = Callable[[Scan, ScreenRequest, Sequence[str]], Job]


@dataclass(frozen=True)
class Update:
    """What `poll` tells.

    Arguments:
        state: `idle` before the first start. A run ends `done`, `failed`, `cancelled`, or
            `dropped` where the scan was removed or changed while it ran.
        progress: The newest, where there is any since the last poll.
        error: Why the run failed.
        reason: Why the result was dropped, as a sentence.
    """

    state: State
    progress: JobProgress | None = None
    error: JobError | None = None
    reason: str | None = None


@final
class Screening:
    """Screens volumes of a scene, one at a time.

    Arguments:
        scene: Where the volumes are and results go.
        logics: Slicer's logics on that scene.
        python: The interpreter that runs the engine, with its own arguments if any.
        new_job: Makes the jobs.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        logics: Logics,
        python: Sequence[str],
        new_job: NewJob = screen_job,
    ) -> None:
        self._scene = scene
        self._logics = logics
        self._python = list(python)
        self._new_job = new_job
        self._run: _Run | None = None
        self._update = Update("idle")
        self._result: ScreenResult | None = None
        companions.watch(scene, self)

    @property
    def busy(self) -> bool:
        """Whether a run is on; another cannot be started until it has ended."""
        return self._run is not None

    @property
    def result(self) -> ScreenResult | None:
        """The result that is worked with; None where there is none, or its map was removed."""
        if self._result is not None and self._result.map_node.GetScene() is not self._scene:
            self._result = None
        return self._result

    def results(self) -> list[ScreenResult]:
        """Find all results in the scene, oldest first."""
        return ScreenResult.all_in(self._scene, self._logics)

    def take_up(self, map_node: slicer.vtkMRMLScalarVolumeNode | None = None) -> bool:
        """Go on with a result that is in the scene, such as one that was opened.

        Arguments:
            map_node: Its map; that of the newest result when None.

        Returns:
            Whether there is such a result. It is shown as it was when it was saved.
        """
        found = [one for one in self.results() if map_node in (None, one.map_node)]
        if found:
            self._result = found[-1]
            self._result.table.restore(self._result.rarity)
        return bool(found)

    def start(self, volume_node: slicer.vtkMRMLScalarVolumeNode, request: ScreenRequest) -> None:
        """Begin to screen a volume; does nothing while a run is on.

        Arguments:
            volume_node: A CT.
            request: How.

        Raises:
            InputError: The volume has no voxels, or several values a voxel.
        """
        if self.busy:
            return
        job = self._new_job(shared_scan_of(volume_node), request, self._python)
        self._run = _Run(job, request, Fingerprint.of(volume_node))
        self._update = Update("running")
        job.start()

    def poll(self) -> Update:
        """Look how the run is going; call it about ten times a second.

        The scan is looked at too: once it is gone or changed, the run is ended, for its result
        would lie on something else.

        Returns:
            What is new. After the end of a run, how it ended, until the next is started.
        """
        run = self._run
        if run is None:
            return self._update
        progress = run.job.poll()
        if run.reason is None:
            run.reason = run.fingerprint.matches(self._scene)
            if run.reason is not None:
                logger.warning("Screening dropped: %s", run.reason)
                run.job.cancel()
        state = run.job.state
        going_on = state in ("ready", "running", "cancelling")
        if going_on or (state == "done" and self._is_taking(run)):
            stops = run.reason or state == "cancelling"
            shown: State = "cancelling" if stops else "running"
            return Update(shown, progress, reason=run.reason)
        self._run = None
        try:
            self._update = self._end(run, state)
        finally:
            run.job.close()
        return Update(self._update.state, progress, self._update.error, self._update.reason)

    def _is_taking(self, run: _Run) -> bool:
        """Put what was found into the scene, as far as one turn has time; true if there is more.

        A scan that was changed meanwhile, a cancel and a fault take out again what is there.
        """
        if run.reason or run.cancelled:
            return False
        if run.taking is None:
            volume_node = self._scene.GetNodeByID(run.fingerprint.node_id)
            output = run.job.output()
            run.taking = Taking(self._scene, self._logics, volume_node, output, run.request)
        until = time.monotonic() + TURN_SECONDS
        try:
            while run.taking.step():
                if time.monotonic() > until:
                    return True
        except BaseException:
            self.close()
            raise
        return False

    def _end(self, run: _Run, state: JobState) -> Update:
        """Take what the run left."""
        if run.taking is not None and (run.reason or run.cancelled):
            run.taking.undo()
        if run.reason is not None:
            return Update("dropped", reason=run.reason)
        if state == "done" and run.taking is not None and not run.cancelled:
            self._result = run.taking.result
            return Update("done")
        if state == "failed":
            return Update("failed", error=run.job.error)
        return Update("cancelled")

    def set_threshold(
        self,
        threshold: float,
        min_volume_ml: float | None = None,
        all_parts: bool | None = None,
        most: int | None = None,
    ) -> None:
        """Find anew in the map at hand, without the model; does nothing where there is none.

        Arguments:
            threshold: Lowest rarity of a finding.
            min_volume_ml: Smallest finding in ml; as before when None.
            all_parts: List findings of arms, head and legs, too; as before when None.
            most: List so many findings at most, the rarest; as before when None.

        Raises:
            InputError: The scan was removed or changed, or a number means nothing.
        """
        result = self.result
        if result is None:
            return
        before = result.table.settings
        smallest = before.min_volume_ml if min_volume_ml is None else min_volume_ml
        limit = before.most if most is None else most
        result.find_again(FindingSettings(threshold, smallest, limit), all_parts)

    def cancel(self) -> None:
        """Ask the run to end; `poll` tells when it has."""
        if self._run is not None:
            self._run.cancelled = True
            self._run.job.cancel()

    def close(self) -> None:
        """End a run at once, for the end of module, scene or application."""
        if self._run is not None:
            self._run.job.close()
            if self._run.taking is not None:
                self._run.taking.undo()
            self._run = None
            self._update = Update("cancelled")


@dataclass
class _Run:
    """A job that is on, and what it was started for."""

    job: Job
    request: ScreenRequest
    fingerprint: Fingerprint
    reason: str | None = None
    """Why its result is not wanted any more."""
    cancelled: bool = False
    """Whether a user wants it no more."""
    taking: Taking | None = None
    """Its output, once that is on its way into the scene."""
