"""Slicer's scene and logics without its windows: what slicer-core has, started as Slicer does.

Nodes, events, logics, storage and rendering are Slicer's own C++. Here is only what the
application around them does: which logics there are, where files go, who makes the items of the
subject hierarchy.

Example:
    >>> from Testing.host.scene import SlicerScene
    >>> host = SlicerScene()
    >>> host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT").GetID()
    'vtkMRMLScalarVolumeNode1'
    >>> host.close()
"""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self, final

import slicer
import slicer.util

from Testing.host.application_files import write_colours, write_terminologies
from Testing.host.graphics import NoGraphics
from Testing.host.hierarchy import HierarchyItems
from Testing.host.logics import make_logics
from Testing.host.views import Views

FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
SIDE_BY_SIDE = slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView


@final
class SlicerScene:
    """A scene with an application's logics, and views when asked for.

    `slicer.mrmlScene` is this scene until the next one is made.

    Attributes:
        scene: The `vtkMRMLScene`.
        logics: The application's and its modules' logics.
        home: A temporary folder that stands for the application's own.
        views: What `add_views` made.
    """

    def __init__(self) -> None:
        # Gone at the end of the process at the latest, also where a start has failed.
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-", ignore_cleanup_errors=True)
        self.home = Path(self._folder.name)
        write_colours(self.home / "share" / "ColorFiles")
        write_terminologies(self.home / "share" / "terminologies")
        for folder in ("tmp", "cache"):
            (self.home / folder).mkdir()
        self.scene = slicer.vtkMRMLScene()
        self.scene.SetRootDirectory(str(self.home))
        self.logics = make_logics(self.scene, self.home)
        self._connect_files()
        self._items = HierarchyItems(self.scene)
        self._add_default_nodes()
        self._views: Views | None = None
        slicer.mrmlScene = self.scene

    def _connect_files(self) -> None:
        """Give the scene its reader and writer: without a cache folder no bundle can be read."""
        self._data_io = slicer.vtkDataIOManagerLogic()
        self._data_io.SetMRMLApplicationLogic(self.logics.application)
        self._remote_io = slicer.vtkMRMLRemoteIOLogic()
        self._remote_io.GetCacheManager().SetRemoteCacheDirectory(str(self.home / "cache"))
        self.logics.application.SetMRMLSceneDataIO(self.scene, self._remote_io, self._data_io)

    def _add_default_nodes(self) -> None:
        """Add what every scene of the application holds: layout, crosshair, slice orientations."""
        layout = slicer.vtkMRMLLayoutNode()
        layout.SetSingletonTag("vtkMRMLLayoutNode")
        for number in (FOUR_UP, SIDE_BY_SIDE):
            layout.AddLayoutDescription(number, "<layout/>")
        layout.SetViewArrangement(FOUR_UP)
        self.scene.AddNode(layout)
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    @property
    def has_views(self) -> bool:
        """Whether `add_views` was called."""
        return self._views is not None

    @property
    def views(self) -> Views:
        """The views, after `add_views`."""
        if self._views is None:
            raise RuntimeError("There are no views yet; call add_views() first.")
        return self._views

    def add_views(self, size: tuple[int, int] = (256, 256)) -> Views:
        """Make the views of Slicer's usual layout, drawn off-screen.

        Arguments:
            size: Width and height of each, in pixels.

        Raises:
            NoGraphics: Where nothing can draw off-screen; a test is then to be skipped, and the
                scene is closed.
        """
        if self._views is None:
            try:
                self._views = Views.of(self.scene, self.logics.application, size)
            except NoGraphics:
                self.close()
                raise
        return self._views

    def save(self, path: Path) -> None:
        """Save the scene with its data as a bundle.

        Raises:
            OSError: When Slicer could not.
        """
        if not self.scene.WriteToMRB(str(path)):
            raise OSError(f"Slicer could not write {path}.")

    def load(self, path: Path, clear: bool = True) -> None:
        """Load a bundle, instead of what is in the scene or beside it.

        Raises:
            OSError: When Slicer could not.
        """
        if not self.scene.ReadFromMRB(str(path), clear):
            raise OSError(f"Slicer could not read {path}.")

    def close(self) -> None:
        """Remove all nodes, views and files. Once is enough."""
        if not self.home.exists():
            return
        self.scene.Clear(1)
        if self._views is not None:
            self._views.close()
            self._views = None
        self._items.close()
        # VTK would call observers that Python is about to throw away, which ends the process.
        self.scene.RemoveAllObservers()
        if slicer.mrmlScene is self.scene:
            slicer.mrmlScene = None
        self._folder.cleanup()

    def __enter__(self) -> Self:
        """Use the scene until the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove everything."""
        self.close()
