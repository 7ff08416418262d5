"""What is kept of a result: segments in the scene, tables and DICOM objects in a folder."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import final

import qt
import slicer
import slicer.util

from ctscreener.errors import InputError
from ScreenerSlicerLib.export.dicom_files import KnownFiles
from ScreenerSlicerLib.export.dicom_job import DicomWork
from ScreenerSlicerLib.export.tables import write_tables
from ScreenerSlicerLib.panel.settings import EXPORT_FOLDER, Settings
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.translation import tr as _


@final
class ExportPanel:
    """Makes segments, tables and DICOM objects of a result.

    Arguments:
        ui: The widgets by their names.
        settings: Where the folder is kept.
        complete: Installs what DICOM takes, where it is missing; false where that failed.
        new_job: Makes the job of an export to DICOM.
        on_start: Called when a job has begun; `tick` is to be called from then on.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        settings: Settings,
        complete: Callable[[], bool],
        new_job: Callable[[DicomWork], BackgroundJob[Path]],
        on_start: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._complete = complete
        self._new_job = new_job
        self._on_start = on_start
        self._result: ScreenResult | None = None
        self._job: BackgroundJob[Path] | None = None
        self._known = KnownFiles(lambda: getattr(slicer, "dicomDatabase", None))
        ui.folderEdit.currentPath = settings.get(EXPORT_FOLDER, "")
        ui.segmentsButton.connect("clicked()", self._make_segments)
        ui.tablesButton.connect("clicked()", self._write_tables)
        ui.dicomMapButton.connect("clicked()", lambda: self._export_dicom(self._map_work))
        ui.dicomSegmentsButton.connect(
            "clicked()", lambda: self._export_dicom(self._segments_work)
        )
        ui.exportCancelButton.connect("clicked()", self._cancel)
        ui.folderEdit.connect("currentPathChanged(QString)", self._on_folder)
        self.take(None)

    def take(self, result: ScreenResult | None) -> None:
        """Export another result from now on, or none."""
        self._result = result
        self._known.forget()
        if not self.busy:
            self._ui.exportLabel.text = ""
        self.update()

    @property
    def busy(self) -> bool:
        """Whether a DICOM object is being made."""
        return self._job is not None

    def close(self) -> None:
        """End a job at once; nothing of it stays."""
        if self._job is not None:
            self._job.close()
            self._job = None

    def tick(self) -> None:
        """Look at the job, some times a second."""
        job = self._job
        if job is None:
            return
        progress = job.poll()
        if progress is not None and job.state == "running":
            self._ui.exportBar.value = round(100 * progress.fraction)
            self._ui.exportLabel.text = stage_words()[progress.stage]
        if job.state in ("done", "failed", "cancelled"):
            self._ui.exportLabel.text = _end_message(job)
            self.close()
            self.update()

    def update(self) -> None:
        """Enable what can be done; what cannot says why."""
        folder = self._folder()
        findings = self._ranks()
        ready = "" if self._result else _("Screen a volume first.")
        where = ready or ("" if folder else _("Choose a folder first."))
        busy = _("A DICOM object is being made.") if self.busy else ""
        known = bool(self._result) and self._known.are_there(self._result.scan_node)
        dicom = where or busy or ("" if known else _no_dicom())
        for name in ("exportBar", "exportCancelButton"):
            getattr(self._ui, name).visible = self.busy
        none = "" if findings else _("There is no finding that was not rejected.")
        _allow(self._ui.segmentsButton, ready or none)
        _allow(self._ui.tablesButton, where)
        _allow(self._ui.dicomMapButton, dicom)
        _allow(self._ui.dicomSegmentsButton, dicom or none)

    def _on_folder(self, path: str) -> None:
        if self._folder():
            self._settings[EXPORT_FOLDER] = path
        self.update()

    def _folder(self) -> Path | None:
        path = self._ui.folderEdit.currentPath
        return Path(path) if path and Path(path).is_dir() else None

    def _ranks(self) -> list[int]:
        """The findings that were not rejected."""
        rows = self._result.rows if self._result else []
        return [row.finding.rank for row in rows if row.verdict != "rejected"]

    def _files(self) -> list[Path]:
        return self._known.now(self._result.scan_node if self._result else None)

    def _make_segments(self) -> None:
        assert self._result is not None, "the button is disabled"
        try:
            with slicer.util.WaitCursor():
                made = self._result.make_segments(self._ranks())
        except InputError as error:
            self._ui.exportLabel.text = str(error)
            return
        node = self._result.segmentation_node
        self._ui.exportLabel.text = _("Segments made: {count}, in {name}").format(
            count=len(made), name=node.GetName() if node else ""
        )

    def _export_dicom(self, work: Callable[[ScreenResult, Path], DicomWork]) -> None:
        """Make a DICOM object in the background."""
        if not self._complete():
            self._ui.exportLabel.text = _("Nothing was written: highdicom is not installed.")
            return
        result, folder = self._chosen()
        self._job = self._new_job(work(result, folder))
        self._job.start()
        self._ui.exportBar.value = 0
        self._ui.exportLabel.text = stage_words()["handing over"]
        self.update()
        self._on_start()

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._ui.exportCancelButton.visible = False
            self._ui.exportLabel.text = _("Cancelling ...")

    def _chosen(self) -> tuple[ScreenResult, Path]:
        """What is exported, and where to."""
        folder = self._folder()
        assert self._result is not None, "the button is disabled"
        assert folder is not None, "the button is disabled"
        return self._result, folder

    def _write_tables(self) -> None:
        """Write both tables, and say where they are or why not."""
        result, folder = self._chosen()
        path = _free(folder, _("{scan} findings"), result, (".csv", ".json"))
        try:
            written = write_tables(path, result.rows, result.table.settings, result.provenance)
        except (InputError, OSError) as error:
            self._ui.exportLabel.text = str(error)
            return
        names = ", ".join(file.name for file in written)
        self._ui.exportLabel.text = _("Written: {names}").format(names=names)

    def _map_work(self, result: ScreenResult, folder: Path) -> DicomWork:
        path = _free(folder, _("{scan} rarity"), result, (".dcm",))
        return DicomWork(path, self._files(), result.rarity, result.provenance)

    def _segments_work(self, result: ScreenResult, folder: Path) -> DicomWork:
        path = _free(folder, _("{scan} anomalous regions"), result, (".dcm",))
        ranks = self._ranks()
        wanted = [one for one in result.findings if one.rank in ranks]
        threshold = result.table.settings.threshold
        return DicomWork(path, self._files(), result.rarity, result.provenance, wanted, threshold)


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


def _end_message(job: BackgroundJob[Path]) -> str:
    """Write how a job ended."""
    if job.error is not None:
        return str(job.error)
    if job.state == "cancelled":
        return _("Cancelled. Nothing was written.")
    return _("Written: {names}").format(names=job.output().name)


def _allow(button: qt.QPushButton, why_not: str) -> None:
    """Enable a button, or say in its tip why it is not."""
    button.enabled = not why_not
    button.toolTip = why_not


def _no_dicom() -> str:
    return _("Only for a scan that was loaded from Slicer's DICOM database.")


def _free(folder: Path, words: str, result: ScreenResult, endings: tuple[str, ...]) -> Path:
    """Find a path of which no file is there yet: nothing is replaced.

    Arguments:
        folder: Where to.
        words: What the file is called, of `{scan}`.
        result: Whose scan that is.
        endings: Of the files; the path has the last of them.
    """
    node = result.scan_node or result.map_node
    wished = words.format(scan=node.GetName())
    # Of letters that every file system takes.
    name = "".join(letter if letter.isalnum() or letter in "-_ ." else "_" for letter in wished)
    number = 1
    while True:
        stem = name if number == 1 else f"{name} {number}"
        if not any(folder.joinpath(stem + ending).exists() for ending in endings):
            return folder / (stem + endings[-1])
        number += 1
