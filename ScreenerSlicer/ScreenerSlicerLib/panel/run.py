"""The button of a run with its progress and what came of it."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import final

import slicer.util

from ctscreener.terminal import duration
from ScreenerSlicerLib.process.timeline import JobProgress
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.screening import Update
from ScreenerSlicerLib.translation import tr as _


@final
class RunPanel:
    """One button, which screens, cancels, or waits until a run is cancelled.

    Arguments:
        ui: The widgets by their names.
        clock: Seconds, from any origin.
    """

    def __init__(self, ui: SimpleNamespace, clock: Callable[[], float] = time.monotonic) -> None:
        self._ui = ui
        self._clock = clock
        self._began = 0.0
        self._progress = JobProgress("handing over", 0, 1)
        self.show_idle("")
        self.say("")
        self._notice("")

    @property
    def notice(self) -> str:
        """What the last run did otherwise than asked for, such as with smaller tiles."""
        return self._progress.notice

    @property
    def seconds(self) -> float:
        """How long ago the last run began."""
        return self._clock() - self._began

    def begin(self) -> None:
        """A run begins."""
        self._began = self._clock()
        self._progress = JobProgress("handing over", 0, 1)
        self._notice("")
        self.say("")

    def show_idle(self, refusal: str) -> None:
        """Let the button screen, or say in its tip why it cannot."""
        button = self._ui.screenButton
        button.text = _("Screen volume")
        button.enabled = not refusal
        button.toolTip = refusal or _("Make a map of what is rare in this scan")
        self._show_progress(False)

    def show_busy(self, update: Update) -> None:
        """Let the button cancel, and show how far the run is."""
        cancelling = update.state == "cancelling"
        button = self._ui.screenButton
        button.text = _("Cancelling ...") if cancelling else _("Cancel")
        button.enabled = not cancelling
        button.toolTip = _("End the run; nothing of it stays")
        self._show_progress(True)
        self._progress = update.progress or self._progress
        self._ui.progressBar.value = round(100 * self._progress.fraction)
        line = progress_line(self._progress, self.seconds)
        self._ui.progressLabel.text = line
        self._notice(self._progress.notice)
        slicer.util.showStatusMessage(f"Screener: {line}", 1000)

    def say(self, message: str) -> None:
        """Show what happened, until the next run; nothing where it is empty."""
        self._ui.messageLabel.text = message
        self._ui.messageLabel.visible = bool(message)
        if message:
            slicer.util.showStatusMessage(f"Screener: {message}", 5000)

    def show_end(self, update: Update, result: ScreenResult | None) -> None:
        """Say how a run ended, and with what."""
        self.say(end_message(update, result, self.seconds))

    def _notice(self, notice: str) -> None:
        self._ui.runNoticeLabel.text = notice
        self._ui.runNoticeLabel.visible = bool(notice)

    def _show_progress(self, shown: bool) -> None:
        self._ui.progressBar.visible = shown
        self._ui.progressLabel.visible = shown


def progress_line(progress: JobProgress, seconds: float) -> str:
    """Write stage, steps, time so far and time left on one line."""
    parts = [stage_words().get(progress.stage, progress.stage)]
    if progress.stage == "scoring":
        # Of a model that sees the whole scan at once, steps are no tiles.
        steps = _("{done} of {total}").format(done=progress.done, total=progress.total)
        parts.append(steps)
    parts.append(_("{time} so far").format(time=duration(seconds)))
    if progress.seconds_left is not None:
        parts.append(_("about {time} left").format(time=duration(progress.seconds_left)))
    return ", ".join(parts)


def stage_words() -> dict[str, str]:
    """Return what the stages of `timeline.WEIGHTS` are called."""
    return {
        "handing over": _("Handing the scan over"),
        "starting": _("Starting the engine"),
        "reading": _("Reading the scan"),
        "preparing": _("Preparing the scan"),
        "scoring": _("Scoring"),
        "restoring": _("Laying the map on the scan"),
        "findings": _("Listing findings"),
        "writing": _("Writing the map"),
        "taking over": _("Taking the map over"),
    }


def end_message(update: Update, result: ScreenResult | None, seconds: float) -> str:
    """Write how a run ended."""
    if update.error is not None:
        return f"{update.error.message} {update.error.action}".strip()
    if update.reason is not None:
        return _("The result was dropped: {reason}").format(reason=update.reason)
    if result is None:
        return _("Cancelled. Nothing of this run was kept.")
    # How many findings there are stands with the list, where it follows the threshold.
    return _("Done in {time}. Rare is not ill.").format(time=duration(seconds))
