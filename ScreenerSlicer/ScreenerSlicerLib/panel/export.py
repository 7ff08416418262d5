"""What is kept of a result: segments in the scene, tables and DICOM objects in a folder."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import final

import slicer.util

from ctscreener.errors import InputError
from ScreenerSlicerLib.export.tables import write_tables
from ScreenerSlicerLib.panel.allowing import allow
from ScreenerSlicerLib.panel.dicom_export import DicomExport, NewJob, kept_rows, no_finding
from ScreenerSlicerLib.panel.settings import EXPORT_FOLDER, Settings
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
        new_job: NewJob,
        on_start: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._on_start = on_start
        self._result: ScreenResult | None = None
        self._dicom = DicomExport(ui, complete, new_job, self._file, self._on_dicom)
        ui.folderEdit.currentPath = settings.get(EXPORT_FOLDER, "")
        ui.segmentsButton.connect("clicked()", self._make_segments)
        ui.tablesButton.connect("clicked()", self._write_tables)
        ui.folderEdit.connect("currentPathChanged(QString)", self._on_folder)
        self.take(None)

    def take(self, result: ScreenResult | None) -> None:
        """Export another result from now on, or none."""
        self._result = result
        self._dicom.take(result)
        if not self.busy:
            self._ui.exportLabel.text = ""
        self.update()

    @property
    def busy(self) -> bool:
        """Whether a DICOM object is being made."""
        return self._dicom.busy

    def close(self) -> None:
        """End a job at once; nothing of it stays."""
        self._dicom.close()

    def tick(self) -> None:
        """Look at the job, some times a second."""
        self._dicom.tick()

    def update(self) -> None:
        """Enable what can be done; what cannot says why."""
        ready = "" if self._result else _("Screen a volume first.")
        folder = "" if self._folder() else _("Choose a folder first.")
        allow(self._ui.segmentsButton, ready or ("" if kept_rows(self._result) else no_finding()))
        allow(self._ui.tablesButton, ready or folder)
        self._dicom.update(ready, folder)

    def _on_dicom(self) -> None:
        self.update()
        if self.busy:
            self._on_start()

    def _on_folder(self, path: str) -> None:
        if self._folder():
            self._settings[EXPORT_FOLDER] = path
        self.update()

    def _folder(self) -> Path | None:
        path = self._ui.folderEdit.currentPath
        return Path(path) if path and Path(path).is_dir() else None

    def _file(self, words: str, result: ScreenResult, ending: str) -> Path:
        """Find a place in the folder."""
        folder = self._folder()
        assert folder is not None, "the button is disabled"
        return _free(folder, words, result, (ending,))

    def _make_segments(self) -> None:
        assert self._result is not None, "the button is disabled"
        ranks = [row.finding.rank for row in kept_rows(self._result)]
        try:
            with slicer.util.WaitCursor():
                made = self._result.make_segments(ranks)
        except InputError as error:
            self._ui.exportLabel.text = str(error)
            return
        node = self._result.segmentation_node
        self._ui.exportLabel.text = _("Segments made: {count}, in {name}").format(
            count=len(made), name=node.GetName() if node else ""
        )

    def _write_tables(self) -> None:
        """Write both tables, and say where they are or why not."""
        result, folder = self._result, self._folder()
        assert result is not None, "the button is disabled"
        assert folder is not None, "the button is disabled"
        path = _free(folder, _("{scan} findings"), result, (".csv", ".json"))
        try:
            settings, found = result.table.settings, result.table.beyond.total
            written = write_tables(path, result.rows, settings, result.provenance, found)
        except (InputError, OSError) as error:
            self._ui.exportLabel.text = str(error)
            return
        names = ", ".join(file.name for file in written)
        self._ui.exportLabel.text = _("Written: {names}").format(names=names)


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
