"""A batch in the panel: what is screened, how far it is, and what became of each scan."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol, final

import slicer

from ctscreener.errors import InputError
from ScreenerSlicerLib.batch.dicom_browser import selected_series, series_sources
from ScreenerSlicerLib.batch.frame_source import frame_sources
from ScreenerSlicerLib.batch.queue import Engine, Queue
from ScreenerSlicerLib.batch.sources import Source, sources_in
from ScreenerSlicerLib.panel.allowing import allow
from ScreenerSlicerLib.panel.batch_opening import BatchOpening
from ScreenerSlicerLib.panel.batch_table import BatchTable
from ScreenerSlicerLib.panel.run import stage_words
from ScreenerSlicerLib.panel.settings import BATCH_FOLDER, Settings
from ScreenerSlicerLib.process.screen_job import ScreenRequest
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.frames import Frames
from ScreenerSlicerLib.translation import tr as _


class Host(Protocol):
    """What a batch asks of the panel around it."""

    def request(self) -> ScreenRequest | None:
        """Return how scans are screened now; None where that cannot be."""

    def refusal(self) -> str:
        """Say why nothing can be screened now; nothing where it can."""
        ...

    def frames(self) -> Frames | None:
        """Return the frames of the scan that is chosen, if it is one of some."""

    def complete(self) -> bool:
        """Install what is missing; false where that failed."""
        ...

    def changed(self) -> None:
        """A batch has begun or ended; `tick` is to be called while there is work."""

    def read(self, result: ScreenResult) -> None:
        """Begin to read a result."""


@final
class BatchPanel:
    """Screens several scans, one after the other.

    Arguments:
        ui: The widgets by their names.
        settings: Where the folder for results is kept.
        host: The panel around it.
        engine: Returns by whom scans are screened.
    """

    def __init__(
        self, ui: SimpleNamespace, settings: Settings, host: Host, engine: Callable[[], Engine]
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._host = host
        self._engine = engine
        self._queue = Queue()
        self._table = BatchTable(ui.batchTable)
        self._opening = BatchOpening(self._say, host.read)
        self._message = ""
        ui.batchOutEdit.currentPath = settings.get(BATCH_FOLDER, "")
        ui.batchFolderAddButton.connect("clicked()", self._add_folder)
        ui.batchBrowserButton.connect("clicked()", self._add_series)
        ui.batchFramesButton.connect("clicked()", self._add_frames)
        ui.batchRunButton.connect("clicked()", self._press)
        ui.batchClearButton.connect("clicked()", self._clear)
        ui.batchFolderEdit.connect("currentPathChanged(QString)", lambda path: self.update())
        ui.batchOutEdit.connect("currentPathChanged(QString)", self._on_folder)
        ui.batchTable.connect("cellDoubleClicked(int,int)", self._open)
        self._show()

    @property
    def busy(self) -> bool:
        """Whether a batch is on."""
        return self._queue.busy

    @property
    def works(self) -> bool:
        """Whether `tick` is to be called: a batch is on, or a result is being opened."""
        return self.busy or self._opening.busy

    def tick(self) -> None:
        """Look at the batch, some times a second."""
        self._opening.tick()
        if not self.busy:
            return
        before = [entry.state for entry in self._queue.entries]
        self._queue.poll()
        if before != [entry.state for entry in self._queue.entries]:
            self._show()
        self._show_progress()
        if not self.busy:
            self._message = self._ended()
            self._show()
            self._host.changed()

    def update(self) -> None:
        """Enable what can be done; what cannot says why."""
        ui, queue = self._ui, self._queue
        busy = _("A batch is on.") if self.busy else ""
        folder = "" if _folder(ui.batchFolderEdit) else _("Choose a folder with scans first.")
        allow(ui.batchFolderAddButton, busy or folder)
        allow(ui.batchBrowserButton, busy)
        still = "" if self._host.frames() else _("Only for a CT that is browsed frame by frame.")
        allow(ui.batchFramesButton, busy or still)
        allow(ui.batchClearButton, busy or ("" if queue.entries else _("There is none.")))
        ui.batchRunButton.text = _("Cancel") if self.busy else _("Screen all")
        out = "" if _folder(ui.batchOutEdit) else _("Choose a folder for results first.")
        none = "" if queue.waiting else _("Add scans first.")
        allow(ui.batchRunButton, "" if self.busy else none or out or self._host.refusal())
        ui.batchBar.visible = self.busy

    def close(self) -> None:
        """End a batch at once; results of scans that were done stay."""
        self.close_scene()
        self._queue.close()

    def close_scene(self) -> None:
        """Open nothing more into a scene that goes."""
        if self._opening.busy:
            self._opening.close()
            self._say(_("The scene was closed before the result was open."))

    def _open(self, row: int, column: int) -> None:
        """Open the result of a row into the scene."""
        self._opening.open(self._queue.entries[row])
        if self._opening.busy:
            self._host.changed()

    def _add_folder(self) -> None:
        folder = _folder(self._ui.batchFolderEdit)
        assert folder is not None, "the button is disabled"
        try:
            self._add(
                sources_in(folder), _("No scan was found in {name}.").format(name=folder.name)
            )
        except InputError as error:
            self._say(str(error))

    def _add_series(self) -> None:
        module = getattr(slicer.modules, "DICOMInstance", None)
        selected = selected_series(module.browserWidget if module else None)
        found = series_sources(getattr(slicer, "dicomDatabase", None), selected)
        self._add(found, _("No CT series is selected in the DICOM browser."))

    def _add_frames(self) -> None:
        frames = self._host.frames()
        self._add(frame_sources(frames) if frames else [], _("There is no frame."))

    def _add(self, sources: Sequence[Source], none: str) -> None:
        """Add scans, and say how many are new."""
        new = self._queue.add(sources)
        self._say(_("Added: {count}").format(count=new) if sources else none)

    def _clear(self) -> None:
        self._queue.clear()
        self._say("")

    def _press(self) -> None:
        """Screen what waits, or cancel."""
        if self.busy:
            self._queue.cancel()
            self._ui.batchRunButton.enabled = False
            return
        request, out = self._host.request(), _folder(self._ui.batchOutEdit)
        if request is None or out is None or not self._host.complete():
            self._say(self._host.refusal() or _("Nothing was screened: something is missing."))
            return
        self._queue.start(request, out, self._engine())
        self._ui.batchBar.value = 0
        self._say("")
        self._host.changed()

    def _on_folder(self, path: str) -> None:
        if _folder(self._ui.batchOutEdit):
            self._settings[BATCH_FOLDER] = path
        self.update()

    def _say(self, message: str) -> None:
        self._message = message
        self._show()

    def _show(self) -> None:
        self._table.fill(self._queue.entries)
        self._ui.batchLabel.text = self._message
        self.update()

    def _show_progress(self) -> None:
        """Show how far the batch is: scans that are behind, and a part of the one that is on."""
        entries, progress = self._queue.entries, self._queue.progress
        behind = sum(entry.state in ("done", "failed") for entry in entries)
        if progress is None or not entries:
            return
        self._ui.batchBar.value = round(100 * (behind + progress.fraction) / len(entries))
        words = stage_words().get(progress.stage, progress.stage)
        line = _("Scan {number} of {count}: {stage}")
        self._ui.batchLabel.text = line.format(number=behind + 1, count=len(entries), stage=words)

    def _ended(self) -> str:
        """Write what became of the batch."""
        states = [entry.state for entry in self._queue.entries]
        done, failed = states.count("done"), states.count("failed")
        folder = self._queue.folder
        parts = [_("Done: {done} of {count}.").format(done=done, count=len(states))]
        if failed:
            failures = _("Failed: {count}, the first: {error}")
            first = next(one for one in self._queue.entries if one.state == "failed")
            told = f"{first.source.name}: {first.error}"
            parts.append(failures.format(count=failed, error=told))
        apart = next(
            (one for one in self._queue.entries if one.state == "done" and one.error), None
        )
        if apart is not None:
            parts.append(apart.error)
        if done and folder is not None:
            parts.append(_("Results are in {folder}.").format(folder=folder))
            parts.append(_("A double-click on a row opens its result."))
        return " ".join(parts)


def _folder(edit: SimpleNamespace) -> Path | None:
    """The folder that a field names, if it is there."""
    return Path(edit.currentPath) if edit.currentPath and Path(edit.currentPath).is_dir() else None
