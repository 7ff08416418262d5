"""Reads `.ui` files as Slicer does, and is stricter about what they name.

Where Qt would warn and go on, without the widget, property or connection, this raises.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

import slicer
from PySide6 import QtCore, QtUiTools, QtWidgets

from Testing.host import ctk_widgets
from Testing.host.pythonqt import AS_IN_CPP

WITHOUT_PROPERTY = {"Line": {"orientation"}}
"""What Designer writes of a class although Qt has no such property."""


def widget_class(name: str) -> type[QtWidgets.QWidget]:
    """The class of this name in Qt, CTK or Slicer.

    Raises:
        NotImplementedError: When the test host has none.
    """
    if name == "Line":
        return QtWidgets.QFrame
    for module in (QtWidgets, ctk_widgets, slicer):
        found = getattr(module, name, None)
        if isinstance(found, type) and issubclass(found, QtWidgets.QWidget):
            return found
    raise NotImplementedError(f"The test host has no widget '{name}'; see Testing/host.")


@dataclass(frozen=True)
class Connection:
    """A connection that a `.ui` file asks for."""

    sender: str
    signal: str
    receiver: str
    slot: str


@dataclass(frozen=True)
class Choice:
    """A property of one of our stand-ins whose value is given by names of an enumeration."""

    widget: str
    property: str
    value: int


class QUiLoader(QtUiTools.QUiLoader):
    """Makes the widgets of a `.ui` file."""

    def load(
        self, file: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None
    ) -> QtWidgets.QWidget:
        """Make the widgets that a file describes.

        Raises:
            NotImplementedError: For a widget that the test host has not.
            ValueError: For a property, signal or slot that a widget has not.
        """
        tree = ElementTree.fromstring(file.readAll().data())
        connections, choices = _take_connections(tree), _take_choices(tree)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        top = super().load(buffer, parent)
        named = {child.objectName: child for child in [top, *top.findChildren(QtCore.QObject)]}
        _check_properties(tree, named)
        for choice in choices:
            setattr(named[choice.widget], choice.property, choice.value)
        for one in connections:
            _connect(named[one.sender], one.signal, named[one.receiver], one.slot)
        return top

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        """Make one widget; Qt calls this."""
        widget = widget_class(class_name)(parent)
        widget.setObjectName(name)
        if class_name == "Line":
            widget.setFrameShape(QtWidgets.QFrame.Shape.HLine)
        return widget


def _take_connections(tree: ElementTree.Element) -> list[Connection]:
    """Take the connections out: Qt cannot make those of Python's signals."""
    parent = tree.find("connections")
    found = [] if parent is None else list(parent)
    names = ("sender", "signal", "receiver", "slot")
    if parent is not None:
        tree.remove(parent)
    return [Connection(*(one.findtext(name, "") for name in names)) for one in found]


def _take_choices(tree: ElementTree.Element) -> list[Choice]:
    """Take out values given by names that only our stand-ins know; make them numbers."""
    found = []
    for element in tree.iter("widget"):
        cls = widget_class(element.get("class", ""))
        for one in element.findall("property"):
            names = one.findtext("set") or one.findtext("enum")
            if (
                names
                and AS_IN_CPP in vars(cls)
                and isinstance(vars(cls).get(one.get("name")), QtCore.Property)
            ):
                element.remove(one)
                value = sum(
                    int(getattr(cls, name.rpartition("::")[2])) for name in names.split("|")
                )
                found.append(Choice(element.get("name", ""), one.get("name", ""), value))
    return found


def _check_properties(tree: ElementTree.Element, named: dict[str, QtCore.QObject]) -> None:
    for element in tree.iter("widget"):
        widget = named[element.get("name", "")]
        known = WITHOUT_PROPERTY.get(element.get("class", ""), set())
        for one in element.findall("property"):
            name = one.get("name", "")
            dynamic = one.get("stdset") == "0" or name in known
            if not dynamic and widget.metaObject().indexOfProperty(name) < 0:
                raise ValueError(f"{widget.className()} has no property '{name}'")


def _connect(sender: QtCore.QObject, signal: str, receiver: QtCore.QObject, slot: str) -> None:
    if not hasattr(receiver, slot.partition("(")[0]):
        raise ValueError(f"{receiver.className()} has no slot '{slot}'")
    sender.connect(signal, receiver, slot)
