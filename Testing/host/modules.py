"""Loads a scripted module as Slicer's own loader does, and knows the modules that are there."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, final

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property

from Testing.host.mrml_widgets import qSlicerWidget
from Testing.host.stand_in import kept, stands_for_cpp


@final
class CoreModule:
    """One of Slicer's own modules: `slicer.modules.colors` and the like; only the logic is here."""

    def __init__(self, name: str, logic: slicer.vtkMRMLAbstractLogic) -> None:
        self.name = self.title = name
        self._logic = logic

    def logic(self) -> slicer.vtkMRMLAbstractLogic:
        """The module's logic."""
        return self._logic


@stands_for_cpp
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """Slicer's side of a module's panel."""

    def __init__(self, module: "qSlicerScriptedLoadableModule") -> None:
        super().__init__()
        self._module = module
        self._entered = False
        self.setLayout(QtWidgets.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        self._python = self._make()

    def _make(self) -> Any:
        cls = getattr(sys.modules[self._module.name], f"{self._module.name}Widget")
        panel = cls(self)
        setattr(slicer.modules, f"{self._module.name}Widget", panel)
        panel.setup()
        return panel

    def self(self) -> Any:
        """The Python object."""
        return self._python

    isEntered = Property(bool, lambda self: self._entered)

    def enter(self) -> None:
        """The user selects the module."""
        self._entered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        """The user selects another module."""
        self._entered = False
        if hasattr(self._python, "exit"):
            self._python.exit()

    def reload(self) -> None:
        """Make the Python object anew, as `slicer.util.reloadScriptedModule` asks. No `enter`."""
        self._python = self._make()


@stands_for_cpp
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """Slicer's side of a module: the `parent` of the module's class."""

    title = kept("title", str, "")
    helpText = kept("helpText", str, "")
    acknowledgementText = kept("acknowledgementText", str, "")
    categories = kept("categories", "QVariantList", [])
    contributors = kept("contributors", "QVariantList", [])
    dependencies = kept("dependencies", "QVariantList", [])
    associatedNodeTypes = kept("associatedNodeTypes", "QVariantList", [])
    icon = kept("icon", QtGui.QIcon, None)
    hidden = kept("hidden", bool, False)
    index = kept("index", int, -1)

    def __init__(self, name: str, path: Path) -> None:
        super().__init__()
        self.setObjectName(name)
        self._path = str(path)
        self._panel: qSlicerScriptedLoadableModuleWidget | None = None

    path = Property(str, lambda self: self._path)

    def logic(self) -> None:
        """A scripted module's logic belongs to its widget."""

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """The module's panel, made when it is first asked for."""
        if self._panel is None:
            self._panel = self.createNewWidgetRepresentation()
        return self._panel

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """Another panel."""
        return qSlicerScriptedLoadableModuleWidget(self)

    def delete_panel(self) -> None:
        """Delete the panel, if there is one, as the application does when it quits."""
        if self._panel is not None:
            shiboken6.delete(self._panel)


def load_module(path: Path) -> qSlicerScriptedLoadableModule:
    """Load a scripted module from its file.

    The file's folder is put on Python's path, as with `--additional-module-paths`.

    Raises:
        Exception: Whatever the module's code raises.
    """
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    code = _import(name, path)
    module = qSlicerScriptedLoadableModule(name, path)
    instance = getattr(code, name)(module)
    setattr(slicer.modules, f"{name}Instance", instance)
    slicer.app.moduleManager().add(name, module)
    return module


def _import(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code
    spec.loader.exec_module(code)
    return code
