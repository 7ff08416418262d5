"""Stand-ins for Slicer's selectors of nodes, on the real scene."""

from typing import ClassVar

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal

from Testing.host.observation import Observation
from Testing.host.stand_in import kept, stands_for_cpp

CONTENTS_CHANGED = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.NodeRemovedEvent,
    slicer.vtkMRMLScene.EndCloseEvent,
    slicer.vtkMRMLScene.EndImportEvent,
    slicer.vtkMRMLScene.EndBatchProcessEvent,
)


@stands_for_cpp
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Lets the user choose a node of some classes. Empty and disabled without a scene.

    As in Slicer, it never chooses by itself.
    """

    vtk_signals: ClassVar = {
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)",
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated(PyObject)",
    }
    mrmlSceneChanged = Signal(object)
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    addEnabled = kept("addEnabled", bool, True)
    removeEnabled = kept("removeEnabled", bool, True)
    renameEnabled = kept("renameEnabled", bool, False)
    editEnabled = kept("editEnabled", bool, False)
    baseName = kept("baseName", str, "")
    selectNodeUponCreation = kept("selectNodeUponCreation", bool, True)
    interactionNodeSingletonTag = kept("interactionNodeSingletonTag", str, "Singleton")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._observation = Observation(self, self._fill)
        self._wanted: dict[str, object] = {}
        self._attributes: dict[tuple[str, str], str | None] = {}
        self._current: str | None = None
        self._box = QtWidgets.QComboBox()
        self._box.setEnabled(False)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.activated.connect(self._on_activated)

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """The scene."""
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Show the nodes of this scene."""
        if scene is self._scene:
            return
        self._scene = scene
        self._observation.of(scene, CONTENTS_CHANGED)
        self._box.setEnabled(scene is not None)
        self._fill()
        self.mrmlSceneChanged.emit(scene)

    def _want(self, name: str, value: object) -> None:
        self._wanted[name] = value
        self._fill()

    nodeTypes = Property(
        "QStringList",
        lambda self: self._wanted.get("nodeTypes", ()),
        lambda self, names: self._want("nodeTypes", tuple(names)),
    )
    hideChildNodeTypes = Property(
        "QStringList",
        lambda self: self._wanted.get("hideChildNodeTypes", ()),
        lambda self, names: self._want("hideChildNodeTypes", tuple(names)),
    )
    showHidden = Property(
        bool,
        lambda self: self._wanted.get("showHidden", False),
        lambda self, shown: self._want("showHidden", shown),
    )
    showChildNodeTypes = Property(
        bool,
        lambda self: self._wanted.get("showChildNodeTypes", True),
        lambda self, shown: self._want("showChildNodeTypes", shown),
    )
    noneEnabled = Property(
        bool,
        lambda self: self._wanted.get("noneEnabled", False),
        lambda self, enabled: self._want("noneEnabled", enabled),
    )
    noneDisplay = Property(
        str,
        lambda self: self._wanted.get("noneDisplay", "None"),
        lambda self, text: self._want("noneDisplay", text),
    )

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """Show only nodes that have this attribute, with this value if one is given."""
        self._attributes[node_type, name] = value
        self._fill()

    def removeAttribute(self, node_type: str, name: str) -> None:
        """Look at this attribute no longer."""
        self._attributes.pop((node_type, name), None)
        self._fill()

    def setNodeTypeLabel(self, label: str, node_type: str) -> None:
        """Set the name of a class in the menu, which is missing here."""

    def nodes(self) -> list[slicer.vtkMRMLNode]:
        """The nodes that can be chosen."""
        if self._scene is None:
            return []
        every = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        return [node for node in every if self._accepts(node)]

    def _accepts(self, node: slicer.vtkMRMLNode) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
            return False
        kinds = [kind for kind in self.nodeTypes if self._is(node, kind)]
        return any(self._has_attributes(node, kind) for kind in kinds)

    def _is(self, node: slicer.vtkMRMLNode, kind: str) -> bool:
        return bool(node.IsA(kind)) if self.showChildNodeTypes else node.GetClassName() == kind

    def _has_attributes(self, node: slicer.vtkMRMLNode, kind: str) -> bool:
        wanted = {name: v for (of, name), v in self._attributes.items() if of == kind}
        return all(
            node.GetAttribute(name) == v if v is not None else node.GetAttribute(name) is not None
            for name, v in wanted.items()
        )

    def _fill(self) -> None:
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, None)
        for node in self.nodes():
            self._box.addItem(node.GetName(), node.GetID())
        self._select(self._current)

    def _select(self, node_id: str | None) -> None:
        ids = [node.GetID() for node in self.nodes()]
        chosen = node_id if node_id in ids else None
        none = 0 if self.noneEnabled else -1
        self._box.setCurrentIndex(none if chosen is None else ids.index(chosen) + none + 1)
        if chosen != self._current:
            self._current = chosen
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(chosen or "")

    def _on_activated(self, index: int) -> None:
        self._select(self._box.itemData(index))
        self.nodeActivated.emit(self.currentNode())

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        """The node that is chosen."""
        if self._scene is None or self._current is None:
            return None
        return self._scene.GetNodeByID(self._current)

    def setCurrentNode(self, node: slicer.vtkMRMLNode | str | None) -> None:
        """Choose a node; one that is not offered is as good as none."""
        self._select(node if node is None or isinstance(node, str) else node.GetID())

    currentNodeID = Property(
        str,
        lambda self: self._current or "",
        lambda self, node_id: self._select(node_id),
        notify=currentNodeIDChanged,
    )

    def setCurrentNodeIndex(self, index: int) -> None:
        """Choose the node at this place, not counting the entry for none."""
        nodes = self.nodes()
        self._select(nodes[index].GetID() if 0 <= index < len(nodes) else None)

    def nodeCount(self) -> int:
        """How many nodes can be chosen."""
        return len(self.nodes())

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode:
        """The node at this place."""
        return self.nodes()[index]

    def addNode(self, node_type: str = "") -> slicer.vtkMRMLNode:
        """Make a new node, as the menu's entry does."""
        kind = node_type or self.nodeTypes[0]
        name = self._scene.GenerateUniqueName(self.baseName or kind.removeprefix("vtkMRML"))
        node = self._scene.AddNewNodeByClass(kind, name)
        for (of, attribute), value in self._attributes.items():
            if of == kind:
                node.SetAttribute(attribute, value or "")
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node


@stands_for_cpp
class qMRMLColorTableComboBox(qMRMLNodeComboBox):
    """Lets the user choose a colour table."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._wanted.update(nodeTypes=("vtkMRMLColorNode",), showHidden=True)
        self.addEnabled = self.removeEnabled = False
