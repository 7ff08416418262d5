"""DICOM objects of a result: into a folder, or into Slicer's DICOM database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import final

import slicer

from ctscreener.errors import InputError
from ScreenerSlicerLib.export.deposit import Deposit
from ScreenerSlicerLib.export.dicom_files import Database, KnownFiles
from ScreenerSlicerLib.export.dicom_job import DicomWork, Kind, Written
from ScreenerSlicerLib.panel.allowing import allow
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.row import Row
from ScreenerSlicerLib.translation import tr as _

BUTTONS: dict[str, tuple[Kind, ...]] = {
    "dicomMapButton": ("map",),
    "dicomSegmentsButton": ("segments",),
    "dicomReportButton": ("segments", "report"),
}
"""What each button makes in the folder."""
DATABASE: tuple[Kind, ...] = ("map", "segments", "report")
NewJob = Callable[[DicomWork], BackgroundJob[list[Written]]]
NewFile = Callable[[str, ScreenResult, str], Path]
"""Returns a path of which no file is there, of words with `{scan}`, a result and an ending."""


@dataclass
class _Export:
    """One export that is on.

    Arguments:
        job: Makes the objects.
        deposit: Where the database takes them from; None where they stay in the folder.
        depositing: Whether they are made, and on their way into the database.
    """

    job: BackgroundJob[list[Written]]
    deposit: Deposit | None
    depositing: bool = False


@final
class DicomExport:
    """Makes DICOM objects of a result in the background, one export at a time.

    Arguments:
        ui: The widgets by their names.
        complete: Installs what DICOM takes, where it is missing; false where that failed.
        new_job: Makes the job.
        new_file: Finds a place in the chosen folder.
        on_change: Called when an export has begun or ended.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        complete: Callable[[], bool],
        new_job: NewJob,
        new_file: NewFile,
        on_change: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._complete = complete
        self._new_job = new_job
        self._new_file = new_file
        self._on_change = on_change
        self._result: ScreenResult | None = None
        self._export: _Export | None = None
        self._known = KnownFiles(_database)
        for name, kinds in BUTTONS.items():
            getattr(ui, name).connect("clicked()", self._maker(kinds))
        ui.databaseButton.connect("clicked()", self._into_database)
        ui.exportCancelButton.connect("clicked()", self._cancel)

    @property
    def busy(self) -> bool:
        """Whether an export is on."""
        return self._export is not None

    def take(self, result: ScreenResult | None) -> None:
        """Export another result from now on, or none."""
        self._result = result
        self._known.forget()

    def close(self) -> None:
        """End an export at once; nothing of it stays but what the database has taken."""
        if self._export is not None:
            self._export.job.close()
            if self._export.deposit is not None:
                self._export.deposit.close()
            self._export = None

    def tick(self) -> None:
        """Look at the export, some times a second."""
        export = self._export
        if export is None:
            return
        if export.depositing:
            self._deposit(export)
            return
        progress = export.job.poll()
        if progress is not None and export.job.state == "running":
            self._ui.exportBar.value = round(100 * progress.fraction)
            self._ui.exportLabel.text = stage_words()[progress.stage]
        if export.job.state == "done" and export.deposit is not None:
            export.deposit.begin(export.job.output())
            export.depositing = True
            self._ui.exportCancelButton.visible = False
            self._ui.exportLabel.text = _("Putting the objects into the DICOM database")
        elif export.job.state in ("done", "failed", "cancelled"):
            self._end(_end_message(export.job))

    def update(self, ready: str, folder: str) -> None:
        """Enable what can be done; what cannot says why.

        Arguments:
            ready: Why nothing can be exported at all.
            folder: Why nothing can be written into the folder.
        """
        busy = _("A DICOM object is being made.") if self.busy else ""
        known = bool(self._result) and self._known.are_there(self._result.scan_node)
        dicom = busy or ("" if known else _no_dicom())
        none = "" if kept_rows(self._result) else no_finding()
        for name in ("exportBar", "exportCancelButton"):
            getattr(self._ui, name).visible = self.busy
        allow(self._ui.dicomMapButton, ready or folder or dicom)
        allow(self._ui.dicomSegmentsButton, ready or folder or dicom or none)
        allow(self._ui.dicomReportButton, ready or folder or dicom or none)
        allow(self._ui.databaseButton, ready or dicom)

    def _maker(self, kinds: Sequence[Kind]) -> Callable[[], None]:
        """What a button does: a function, of which PythonQt knows the arguments."""

        def make() -> None:
            assert self._result is not None, "the button is disabled"
            words = file_words()
            self._start(
                {kind: self._new_file(words[kind], self._result, ".dcm") for kind in kinds}
            )

        return make

    def _into_database(self) -> None:
        kinds = DATABASE if kept_rows(self._result) else DATABASE[:1]
        try:
            deposit = Deposit(slicer.dicomDatabase, Path(slicer.app.temporaryPath))
        except OSError as error:
            self._ui.exportLabel.text = str(error)
            return
        self._start({kind: deposit.file(kind) for kind in kinds}, deposit)

    def _start(self, files: dict[Kind, Path], deposit: Deposit | None = None) -> None:
        """Make DICOM objects in the background."""
        if not self._complete():
            self._ui.exportLabel.text = _("Nothing was written: highdicom is not installed.")
            if deposit is not None:
                deposit.close()
            return
        result = self._result
        assert result is not None, "the button is disabled"
        work = DicomWork(
            files,
            self._known.now(result.scan_node),
            result.rarity,
            result.provenance,
            kept_rows(result),
            result.table.settings,
            result.table.beyond.total,
        )
        self._export = _Export(self._new_job(work), deposit)
        self._export.job.start()
        self._ui.exportBar.value = 0
        self._ui.exportLabel.text = stage_words()["handing over"]
        self._on_change()

    def _deposit(self, export: _Export) -> None:
        """Put one object into the database."""
        assert export.deposit is not None, "there is something to put in"
        count = len(export.job.output())
        try:
            if not export.deposit.step():
                self._end(_("In the DICOM database: {count} objects").format(count=count))
        except InputError as error:
            self._end(str(error))

    def _end(self, message: str) -> None:
        self.close()
        self._ui.exportLabel.text = message
        self._on_change()

    def _cancel(self) -> None:
        if self._export is not None:
            self._export.job.cancel()
            self._ui.exportCancelButton.visible = False
            self._ui.exportLabel.text = _("Cancelling ...")


def kept_rows(result: ScreenResult | None) -> list[Row]:
    """Return the findings that were not rejected."""
    rows = result.rows if result else []
    return [row for row in rows if row.verdict != "rejected"]


def no_finding() -> str:
    """Say why there is nothing to make segments of."""
    return _("There is no finding that was not rejected.")


def file_words() -> dict[Kind, str]:
    """Return what the files are called."""
    return {
        "map": _("{scan} rarity"),
        "segments": _("{scan} anomalous regions"),
        "report": _("{scan} report"),
    }


def stage_words() -> dict[str, str]:
    """Return what the stages of `dicom_job.WEIGHTS` are called."""
    return {
        "handing over": _("Handing the map over"),
        "starting": _("Starting highdicom"),
        "reading headers": _("Reading the headers of the scan"),
        "building": _("Building the DICOM object"),
        "writing": _("Writing the DICOM object"),
        "taking over": _("Putting the file in its place"),
    }


def _database() -> Database | None:
    return getattr(slicer, "dicomDatabase", None)


def _end_message(job: BackgroundJob[list[Written]]) -> str:
    """Write how a job ended."""
    if job.error is not None:
        return str(job.error)
    if job.state == "cancelled":
        return _("Cancelled. Nothing was written.")
    names = ", ".join(one.path.name for one in job.output())
    return _("Written: {names}").format(names=names)


def _no_dicom() -> str:
    return _("Only for a scan that was loaded from Slicer's DICOM database.")
