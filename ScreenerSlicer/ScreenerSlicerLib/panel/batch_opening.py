"""A result of a batch that a reader opens: into the scene, piece by piece, and into the panel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import final

import slicer

from ctscreener.errors import InputError
from ScreenerSlicerLib.batch.queue import Entry
from ScreenerSlicerLib.batch.reopening import Reopened, Reopening
from ScreenerSlicerLib.export.dicom_files import INSTANCES
from ScreenerSlicerLib.placement import Taking
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.scans import show_scan
from ScreenerSlicerLib.scene.slicer_logics import logics_of
from ScreenerSlicerLib.scene.volume import scan_node
from ScreenerSlicerLib.translation import tr as _


@final
class BatchOpening:
    """Opens one result at a time.

    Arguments:
        say: Shows a message.
        read: Lets the panel work on a result.
    """

    def __init__(self, say: Callable[[str], None], read: Callable[[ScreenResult], None]) -> None:
        self._say = say
        self._read = read
        self._entry: Entry | None = None
        self._reopening: Reopening | None = None
        self._scan: slicer.vtkMRMLScalarVolumeNode | None = None
        self._taking: Taking | None = None
        self._opened: dict[Path, ScreenResult] = {}

    @property
    def busy(self) -> bool:
        """Whether `tick` is to be called."""
        return self._entry is not None

    def open(self, entry: Entry) -> None:
        """Open the result of a scan, if it has one; what is open already is shown."""
        if self.busy or entry.screened is None or entry.source.show():
            return
        folder = entry.screened.folder
        known = self._opened.get(folder)
        if known is not None and known.map_node.GetScene() and known.scan_node:
            self._read(known)
            return
        self._entry = entry
        self._reopening = Reopening(entry.source.read, folder)
        self._say(_("Opening {name} ...").format(name=entry.source.name))

    def tick(self) -> None:
        """Do a piece of the work, some times a second."""
        if self._reopening is not None:
            try:
                read = self._reopening.poll()
            except InputError as error:
                self.close()
                self._say(str(error))
                return
            if read is not None:
                self._reopening = None
                self._begin(read)
        elif self._taking is not None:
            self._go_on(self._taking)

    def close(self) -> None:
        """End it, and take out of the scene what is not whole."""
        if self._reopening is not None:
            self._reopening.close()
        if self._taking is not None:
            self._taking.undo()
        if self._scan is not None and self._scan.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(self._scan)
        self._entry = self._reopening = self._taking = self._scan = None

    def _begin(self, read: Reopened) -> None:
        assert self._entry is not None, "something is being opened"
        source, scene = self._entry.source, slicer.mrmlScene
        node = self._scan = scan_node(scene, read.scan, source.name)
        # Before its map, which comes into the views as they are.
        show_scan(slicer.app.applicationLogic(), node)
        if source.instances:
            node.SetAttribute(INSTANCES, " ".join(source.instances))
        self._taking = Taking(scene, logics_of(slicer), node, read.output, read.request)

    def _go_on(self, taking: Taking) -> None:
        assert self._entry is not None, "something is being opened"
        if self._scan is None or self._scan.GetScene() is None:
            self.close()
            self._say(_("The scan was removed before its result was open."))
            return
        if taking.step():
            return
        entry, result = self._entry, taking.result
        assert entry.screened is not None, "only what was screened is opened"
        assert result is not None, "the last step has left one"
        self._opened[entry.screened.folder] = result
        self._entry = self._taking = self._scan = None
        self._say(_("Opened: {name}").format(name=entry.source.name))
        self._read(result)
