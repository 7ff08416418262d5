"""What `slicer.ScriptedLoadableModule` gives: the classes that a scripted module extends."""

import importlib
import logging
import unittest
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtGui, QtWidgets

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]
LOG = logging.getLogger(__name__)
UNLOADED = "moduleAboutToBeUnloaded(QString)"


class ScriptedLoadableModule:
    """What a module says of itself; `parent` is Slicer's side of it."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        icon = Path(self.resourcePath(f"Icons/{self.moduleName}.png"))
        if icon.is_file():
            parent.icon = QtGui.QIcon(str(icon))
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, name: str) -> str:
        """The path of one of the module's resources."""
        return str(Path(self.parent.path).parent / "Resources" / name)

    def getDefaultModuleDocumentationLink(self, page: str | None = None) -> str:
        """A sentence with a link to the documentation."""
        url = slicer.app.documentationBaseUrl + (page or self.moduleName)
        return f'<p>See the <a href="{url}">online documentation</a>.</p>'

    def runTest(self, msec: int = 100, **options: Any) -> None:
        """Run the module's self test."""
        module = importlib.import_module(type(self).__module__)
        case = getattr(module, f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**options)


class ScriptedLoadableModuleWidget:
    """A module's panel, which `setup` fills."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent or _own_parent()
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect(UNLOADED, self._onModuleAboutToBeUnloaded)

    def resourcePath(self, name: str) -> str:
        """The path of one of the module's resources."""
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        """Fill the panel."""

    def cleanup(self) -> None:
        """Let go of everything, before the module is unloaded or reloaded."""

    def onReload(self) -> None:
        """Load the code anew, as the developer's button does."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect(UNLOADED, self._onModuleAboutToBeUnloaded)


def _own_parent() -> QtWidgets.QWidget:
    """A window for a panel that no application shows."""
    parent = slicer.qMRMLWidget()
    parent.setLayout(QtWidgets.QVBoxLayout())
    parent.setMRMLScene(slicer.mrmlScene)
    return parent


class ScriptedLoadableModuleLogic:
    """A module's work, and the node that holds its parameters."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        """The module's node, made when there is none."""
        found = self.getAllParameterNodes()
        if self.isSingletonParameterNode:
            single = slicer.mrmlScene.GetSingletonNode(
                self.moduleName, "vtkMRMLScriptedModuleNode"
            )
            found = [single] if single else []
        if not found:
            return slicer.mrmlScene.AddNode(self.createParameterNode())
        # Closing a scene takes the attribute away.
        found[0].SetAttribute("ModuleName", self.moduleName)
        return found[0]

    def getAllParameterNodes(self) -> list[slicer.vtkMRMLScriptedModuleNode]:
        """Every node that holds parameters of this module."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        """A new node, not yet in the scene."""
        node = slicer.vtkMRMLScriptedModuleNode()
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """A module's self test."""

    messageDelay = 100

    def delayDisplay(
        self, message: str, requestedDelay: int | None = None, msec: int | None = None
    ) -> None:
        """Show a message; the test host lets the application catch up, and does not wait."""
        slicer.util.delayDisplay(message, 0)

    def runTest(self) -> None:
        """Run the tests."""
        LOG.warning("No test is defined in %s", type(self).__name__)
