"""The application around a module: loads it unchanged, clicks it and photographs it.

Example:
    with Application() as host:
        panel = host.load(Path("ScreenerSlicer/ScreenerSlicer.py"))
        host.select(panel)
        host.click(panel.ui.screenButton)
        host.picture().save("panel.png")
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self, final

# Qt reads this when its application is made; a display there is nobody to look at.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import shiboken6
import slicer
from PIL import Image
from PySide6 import QtCore, QtTest, QtWidgets

from Testing.host import (
    ctk_widgets,
    parameter_node,
    pythonqt,
    qt_names,
    scripted_module,
    translation,
)
from Testing.host.app import SlicerApp
from Testing.host.event_loop import EventLoop
from Testing.host.logics import module_name
from Testing.host.modules import (
    CoreModule,
    load_module,
    qSlicerScriptedLoadableModule,
    qSlicerScriptedLoadableModuleWidget,
)
from Testing.host.mrml_widgets import WIDGETS
from Testing.host.picture import window_picture
from Testing.host.scene import SlicerScene

IMPORTS = {
    "qt": qt_names,
    "ctk": ctk_widgets,
    "slicer.ScriptedLoadableModule": scripted_module,
    "slicer.parameterNodeWrapper": parameter_node,
    "slicer.i18n": translation,
}
"""What a module imports of Slicer, and what it gets here."""
PANEL = (400, 640)
"""Width and height that a panel has at first, in pixels."""
ADDED = ("app", "modules", "moduleNames", "selfTests")
"""What the application adds to the module `slicer`, beside its widgets."""


@final
class Application:
    """Slicer's application as a module sees it, on a scene of its own.

    Attributes:
        scene: The scene, its logics and its views.
        app: What `slicer.app` is.
        errors: Exceptions that slots and observers raised. Slicer writes such to its log and goes
            on; here `click`, `wait` and the end of a `with` raise the first.
    """

    def __init__(
        self, views: bool = True, size: tuple[int, int] = (256, 256), holds_gil: bool = False
    ) -> None:
        """Start the application.

        Arguments:
            views: Whether there are views.
            size: Width and height of each view in pixels.
            holds_gil: Whether Python's lock is kept while the application waits, as in Slicer.

        Raises:
            NoGraphics: When views are wanted and nothing can draw.
        """
        self.scene = SlicerScene()
        if views:
            self.scene.add_views(size)
        self.errors: list[BaseException] = []
        self._hook = sys.excepthook
        self._entered: qSlicerScriptedLoadableModuleWidget | None = None
        self._loaded: list[qSlicerScriptedLoadableModule] = []
        self._closed = False
        self._path_before = list(sys.path)
        sys.excepthook = self._on_error
        self.app = self._start()
        self._loop = EventLoop(holds_gil)

    def _start(self) -> SlicerApp:
        pythonqt.install()
        qt_names.settings_file = self.scene.home / "Slicer.ini"
        qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        for name, module in IMPORTS.items():
            sys.modules[name] = module
            if name.startswith("slicer."):
                setattr(slicer, name.removeprefix("slicer."), module)
        for widget in (
            *WIDGETS,
            qSlicerScriptedLoadableModule,
            qSlicerScriptedLoadableModuleWidget,
        ):
            setattr(slicer, widget.__name__, widget)
        slicer.modules, slicer.moduleNames = SimpleNamespace(), SimpleNamespace()
        slicer.app = SlicerApp(self.scene, qt)
        for name, logic in self.scene.logics.of_modules().items():
            slicer.app.moduleManager().add(module_name(name), CoreModule(name, logic))
        return slicer.app

    def _on_error(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self.errors.append(error)
        self._hook(kind, error, trace)

    def raise_errors(self) -> None:
        """Raise the first exception of a slot or an observer, if there was one."""
        if self.errors:
            first, self.errors = self.errors[0], []
            raise first

    def run(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call a function from within Qt's event loop, as everything in Slicer is called.

        Dialogs and what is deleted later behave otherwise outside it.
        """
        loop = QtCore.QEventLoop()
        outcome = []

        def call() -> None:
            try:
                outcome.append(function(*arguments))
            finally:
                loop.quit()

        QtCore.QTimer.singleShot(0, call)
        loop.exec()
        self.raise_errors()
        return outcome[0]

    def load(self, path: Path) -> Any:
        """Load a scripted module and make its panel; returns the module's own widget object."""
        module = self.run(load_module, path)
        self._loaded.append(module)
        panel = self.run(module.widgetRepresentation).self()
        panel.parent.resize(*PANEL)
        return panel

    def select(self, panel: Any) -> None:
        """Show a module's panel, as when the user selects the module."""
        if self._entered is not None:
            self.run(self._entered.exit)
        self._entered = panel.parent
        panel.parent.show()
        self.run(panel.parent.enter)
        self._settle()

    def click(self, widget: QtWidgets.QWidget) -> None:
        """Click a widget with the mouse.

        Raises:
            ValueError: When a user could not: it is hidden or disabled.
        """
        if not widget.isVisible() or not widget.isEnabled():
            raise ValueError(f"'{widget.objectName}' is hidden or disabled")
        place = QtCore.QPoint(10, widget.rect.height() // 2)
        if isinstance(widget, ctk_widgets.ctkCollapsibleButton):
            place = QtCore.QPoint(10, ctk_widgets.HEADER // 2)
        QtTest.QTest.mouseClick(widget, QtCore.Qt.MouseButton.LeftButton, pos=place)
        self._settle()

    def write(self, widget: QtWidgets.QWidget, text: str) -> None:
        """Type a text into a widget instead of what is in it, and press Enter."""
        field = widget if isinstance(widget, QtWidgets.QLineEdit) else _line_of(widget)
        field.selectAll()
        QtTest.QTest.keyClicks(field, text)
        QtTest.QTest.keyClick(field, QtCore.Qt.Key.Key_Return)
        self._settle()

    def press(self, widget: QtWidgets.QWidget, key: str) -> None:
        """Press a key such as `N` or `Ctrl+S` while a widget has the focus."""
        window = widget.window()
        window.activateWindow()
        QtTest.QTest.qWaitForWindowActive(window, 5000)
        QtTest.QTest.keySequence(widget, key)
        self._settle()

    def wait(self, until: Callable[[], bool], seconds: float = 60.0) -> None:
        """Let timers and signals come until something is so, also on a machine that is busy.

        Raises:
            TimeoutError: When it is not in time.
        """
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"still not so after {seconds} s")
            self._loop.turn()
            self.raise_errors()

    def answer(self, text: str) -> None:
        """Click the button with this text in the next dialog that waits for an answer."""
        QtCore.QTimer.singleShot(0, lambda: self._answer(text, patience=200))

    def _answer(self, text: str, patience: int) -> None:
        dialog = QtWidgets.QApplication.activeModalWidget()
        if dialog is None and patience:
            QtCore.QTimer.singleShot(10, lambda: self._answer(text, patience - 1))
            return
        if dialog is None:
            raise TimeoutError(f"no dialog came to be answered with '{text}'")
        buttons = dialog.findChildren(QtWidgets.QAbstractButton)
        texts = [button.text.replace("&", "") for button in buttons]
        if text not in texts:
            dialog.done(0)
            raise ValueError(f"the dialog has no button '{text}' but {texts}")
        buttons[texts.index(text)].click()

    def _settle(self) -> None:
        self.app.processEvents()
        self.raise_errors()

    def run_self_test(self, name: str) -> None:
        """Run a module's self test, as the button for developers does."""
        self.run(slicer.selfTests[name])

    def picture(self) -> Image.Image:
        """Panel and views in one window, labelled as what they are."""
        return window_picture(self._entered, self.scene.views if self.scene.has_views else None)

    def close(self) -> None:
        """Quit: panels clean up, and Python forgets the modules. Once is enough."""
        if self._closed:
            return
        self._closed = True
        self._loop.close()
        self.app.aboutToQuit.emit()
        if self._entered is not None:
            self._entered.exit()
        for module in self._loaded:
            self.app.moduleManager().moduleAboutToBeUnloaded.emit(module.name)
            module.delete_panel()
        for window in QtWidgets.QApplication.topLevelWidgets():
            # Deleting one may have deleted others.
            if shiboken6.isValid(window) and window.parent() is None:
                shiboken6.delete(window)
        self.scene.close()
        sys.excepthook = self._hook
        self._forget()

    def _forget(self) -> None:
        for name in [*IMPORTS, *(module.name for module in self._loaded)]:
            sys.modules.pop(name, None)
        sys.path[:] = self._path_before
        for name in ADDED:
            vars(slicer).pop(name, None)
        pythonqt.forget()

    def __enter__(self) -> Self:
        """Use the application until the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Quit, and raise what slots and observers raised if nothing else was."""
        self.close()
        if error is None:
            self.raise_errors()


def _line_of(widget: QtWidgets.QWidget) -> QtWidgets.QLineEdit:
    """The line inside a box, a slider or a path."""
    return widget.findChildren(QtWidgets.QLineEdit)[0]
