"""What is kept of a result: segments in the scene, tables and DICOM objects in a folder."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import final

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ctscreener.errors import InputError
from ScreenerSlicerLib.export.dicom import write_rarity_map, write_regions
from ScreenerSlicerLib.export.dicom_files import dicom_files
from ScreenerSlicerLib.export.tables import write_tables
from ScreenerSlicerLib.panel.settings import EXPORT_FOLDER, Settings
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.segments import regions_of


@final
class ExportPanel:
    """Makes segments, tables and DICOM objects of a result.

    Arguments:
        ui: The widgets by their names.
        settings: Where the folder is kept.
        complete: Installs what DICOM takes, where it is missing; false where that failed.
    """

    def __init__(
        self, ui: SimpleNamespace, settings: Settings, complete: Callable[[], bool]
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._complete = complete
        self._result: ScreenResult | None = None
        ui.folderEdit.currentPath = settings.get(EXPORT_FOLDER, "")
        ui.segmentsButton.connect("clicked()", self._make_segments)
        ui.tablesButton.connect("clicked()", lambda: self._export(self._write_tables))
        ui.dicomMapButton.connect("clicked()", lambda: self._export_dicom(self._write_map))
        ui.dicomSegmentsButton.connect(
            "clicked()", lambda: self._export_dicom(self._write_segments)
        )
        ui.folderEdit.connect("currentPathChanged(QString)", self._on_folder)
        self.take(None)

    def take(self, result: ScreenResult | None) -> None:
        """Export another result from now on, or none."""
        self._result = result
        self._ui.exportLabel.text = ""
        self.update()

    def update(self) -> None:
        """Enable what can be done; what cannot says why."""
        folder = self._folder()
        findings = self._ranks()
        ready = "" if self._result else _("Screen a volume first.")
        where = ready or ("" if folder else _("Choose a folder first."))
        dicom = where or ("" if self._files() else _no_dicom())
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
        scan_node = self._result.scan_node if self._result else None
        return dicom_files(scan_node, getattr(slicer, "dicomDatabase", None))

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

    def _export_dicom(self, write: Callable[[ScreenResult, Path], list[Path]]) -> None:
        if self._complete():
            self._export(write)
        else:
            self._ui.exportLabel.text = _("Nothing was written: highdicom is not installed.")

    def _export(self, write: Callable[[ScreenResult, Path], list[Path]]) -> None:
        """Write files, and say where they are or why not."""
        folder = self._folder()
        assert self._result is not None, "the button is disabled"
        assert folder is not None, "the button is disabled"
        try:
            with slicer.util.WaitCursor():
                written = write(self._result, folder)
        except (InputError, ImportError, OSError) as error:
            self._ui.exportLabel.text = str(error)
            return
        names = ", ".join(file.name for file in written)
        self._ui.exportLabel.text = _("Written: {names}").format(names=names)

    def _write_tables(self, result: ScreenResult, folder: Path) -> list[Path]:
        path = _free(folder, f"{_name_of(result)} findings", (".csv", ".json"))
        return write_tables(path, result.rows, result.table.settings, result.provenance)

    def _write_map(self, result: ScreenResult, folder: Path) -> list[Path]:
        path = _free(folder, f"{_name_of(result)} rarity", (".dcm",))
        rarity = result.rarity
        write_rarity_map(path, self._files(), rarity.hu, rarity.affine, result.provenance)
        return [path]

    def _write_segments(self, result: ScreenResult, folder: Path) -> list[Path]:
        path = _free(folder, f"{_name_of(result)} anomalous regions", (".dcm",))
        rarity = result.rarity
        wanted = [one for one in result.findings if one.rank in self._ranks()]
        regions = regions_of(wanted, rarity.hu, result.table.settings.threshold)
        files = self._files()
        write_regions(path, files, regions, rarity.hu.shape, rarity.affine, result.provenance)
        return [path]


def _allow(button: qt.QPushButton, why_not: str) -> None:
    """Enable a button, or say in its tip why it is not."""
    button.enabled = not why_not
    button.toolTip = why_not


def _no_dicom() -> str:
    return _("Only for a scan that was loaded from Slicer's DICOM database.")


def _name_of(result: ScreenResult) -> str:
    """The scan's name, of letters that every file system takes."""
    name = result.scan_node.GetName() if result.scan_node else result.map_node.GetName()
    return "".join(letter if letter.isalnum() or letter in "-_ ." else "_" for letter in name)


def _free(folder: Path, name: str, endings: tuple[str, ...]) -> Path:
    """A path with the last of the endings of which no file is there yet: nothing is replaced."""
    number = 1
    while True:
        stem = name if number == 1 else f"{name} {number}"
        if not any(folder.joinpath(stem + ending).exists() for ending in endings):
            return folder / (stem + endings[-1])
        number += 1
