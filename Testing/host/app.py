"""What `slicer.app` is: the application, as far as a module asks it for something."""

from typing import ClassVar, final

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from Testing.host.layout import LayoutManager
from Testing.host.node_files import NodeFiles
from Testing.host.qt_names import QSettings
from Testing.host.scene import SlicerScene
from Testing.host.stand_in import stands_for_cpp


@stands_for_cpp
class ModuleManager(QtCore.QObject):
    """What `slicer.app.moduleManager()` returns."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleLoaded = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, object] = {}

    def add(self, name: str, module: object) -> None:
        """Take a module in, and offer it as `slicer.modules.<name in lower case>`."""
        self._modules[name] = module
        setattr(slicer.modules, name.lower(), module)
        setattr(slicer.moduleNames, name, name)
        self.moduleLoaded.emit(name)

    def module(self, name: str) -> object | None:
        """A module by its name, or none."""
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        """The names of all modules."""
        return list(self._modules)


@final
@stands_for_cpp
class SlicerApp(QtCore.QObject):
    """The application in testing mode, with settings of its own.

    Arguments:
        host: The scene, with its views if there are any.
        qt: Qt's application.
    """

    startupCompleted = QtCore.Signal()
    aboutToQuit = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)
    vtk_signals: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}
    applicationName = "Slicer"
    applicationVersion = "5.12.4 (test host, not 3D Slicer)"
    majorVersion = 5
    minorVersion = 12
    revision = "0"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    def __init__(self, host: SlicerScene, qt: QtWidgets.QApplication) -> None:
        super().__init__()
        self._host = host
        self._qt = qt
        self._modules = ModuleManager()
        self._files = NodeFiles(host)
        self._layout = LayoutManager(host) if host.has_views else None
        self._testing = True

    @property
    def slicerHome(self) -> str:
        """The application's own folder."""
        return str(self._host.home)

    @property
    def temporaryPath(self) -> str:
        """Where temporary files go."""
        return str(self._host.home / "tmp")

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        """The logic of the application."""
        return self._host.logics.application

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        """The scene."""
        return self._host.scene

    def coreIOManager(self) -> NodeFiles:
        """What reads and writes files."""
        return self._files

    def ioManager(self) -> NodeFiles:
        """What reads and writes files."""
        return self._files

    def layoutManager(self) -> LayoutManager | None:
        """The views; none where nothing is drawn, as with `--no-main-window`."""
        return self._layout

    def moduleManager(self) -> ModuleManager:
        """What knows all modules."""
        return self._modules

    def mainWindow(self) -> None:
        """There is no main window."""

    def userSettings(self) -> QSettings:
        """Settings of the user; here of the test."""
        return QSettings()

    settings = revisionUserSettings = userSettings

    def testingEnabled(self) -> bool:
        """Whether messages are answered by themselves, as with `--testing`."""
        return self._testing

    def setTestingEnabled(self, enabled: bool) -> None:
        """Not in Slicer: lets a test see what a user would see."""
        self._testing = enabled

    def processEvents(self) -> None:
        """Let timers, signals and paintings come."""
        self._qt.processEvents()

    def topLevelWidgets(self) -> list[QtWidgets.QWidget]:
        """Every window."""
        return self._qt.topLevelWidgets()

    def clipboard(self) -> QtGui.QClipboard:
        """The clipboard."""
        return self._qt.clipboard()

    def setOverrideCursor(self, cursor: QtGui.QCursor) -> None:
        """Show this cursor everywhere."""
        self._qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        """Show the cursor from before."""
        self._qt.restoreOverrideCursor()

    def pauseRender(self) -> None:
        """Views here draw only when they are asked for pixels."""

    def resumeRender(self) -> None:
        """Views here draw only when they are asked for pixels."""

    def moduleDocumentationUrl(self, name: str) -> str:
        """Where a module's documentation is."""
        return self.documentationBaseUrl + name

    def translate(self, context: str, text: str) -> str:
        """A text in the user's language, which is the text as it is."""
        return text

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        """The environment variables from before Slicer set its own."""
        return QtCore.QProcessEnvironment.systemEnvironment()
