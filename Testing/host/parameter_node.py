"""What `slicer.parameterNodeWrapper` gives: typed fields on a node, shown by widgets.

As far as one module needs it: numbers, text, truth values, paths, enumerations, nodes, ranges, and
`Optional` of these. Lists, tuples, dictionaries and packs are missing.
"""

import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import slicer
import vtk
from PySide6 import QtWidgets

from Testing.host.parameter_types import (
    Choice,
    Decimals,
    Default,
    FloatRange,
    Maximum,
    Minimum,
    Parameter,
    RangeBounds,
    SingleStep,
    WithinRange,
)
from Testing.host.parameter_widgets import Connector, connector

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "FloatRange",
    "Maximum",
    "Minimum",
    "RangeBounds",
    "SingleStep",
    "WithinRange",
    "parameterNodeWrapper",
]
WIDGETS_NAME = "SlicerParameterName"
"""The property by which a widget in a `.ui` file names its parameter."""


def parameterNodeWrapper(cls: type) -> type:
    """Make a class with typed fields a view on a parameter node."""
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = {}
    for name, hint in hints.items():
        default = Default(getattr(cls, name)) if hasattr(cls, name) else None
        parameters[name] = Parameter(name, hint, default)
        setattr(cls, name, _field(parameters[name]))
    taken = [name for name in vars(Wrapper) if name[:2] != "__" and hasattr(cls, name)]
    if taken:
        raise ValueError(f"'{taken[0]}' is a name that the wrapper needs itself")
    about = {"allParameters": parameters, "__module__": cls.__module__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, Wrapper), about)


def _field(parameter: Parameter) -> property:
    return property(
        lambda this: parameter.read(this.parameterNode),
        lambda this, value: parameter.write(this.parameterNode, value),
    )


class Wrapper:
    """What a wrapped class can do, beside its fields."""

    allParameters: dict[str, Parameter]

    def __init__(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, dict[str, Connector]] = {}
        self._showing = False
        for parameter in self.allParameters.values():
            if not parameter.is_in(parameterNode):
                parameter.write(parameterNode, parameter.default)

    def _parameter(self, name: str) -> Parameter:
        if name not in self.allParameters:
            raise ValueError(f"there is no parameter '{name}'")
        return self.allParameters[name]

    def getValue(self, name: str) -> Any:
        """A field's value."""
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        """Set a field's value."""
        self._parameter(name).write(self.parameterNode, value)

    def connectGui(self, gui: SimpleNamespace | QtWidgets.QWidget) -> int:
        """Show the fields in the widgets that name them, and take what is entered there.

        Returns:
            A tag for `disconnectGui`.

        Raises:
            ValueError: When a widget names a field that there is not.
            RuntimeError: When a widget cannot show its field.
        """
        named = [(widget.property(WIDGETS_NAME), widget) for widget in _widgets_of(gui)]
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict[str, QtWidgets.QWidget]) -> int:
        """Connect fields to widgets; returns a tag for `disconnectGui`."""
        parameters = {name: self._parameter(name) for name in mapping}
        connectors = {name: connector(mapping[name], parameters[name]) for name in mapping}
        for name, one in connectors.items():
            one.write(self.getValue(name))
            if one.signal is not None:
                one.signal.connect(self._taking(connectors, name))
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show)
        self._guis[tag] = connectors
        return tag

    def _taking(self, connectors: dict[str, Connector], name: str) -> Callable[..., None]:
        def take(*_: object) -> None:
            if name in connectors and not self._showing:
                self.setValue(name, connectors[name].read())

        return take

    def _show(self, *_: object) -> None:
        if self._showing:
            return
        self._showing = True
        try:
            for connectors in self._guis.values():
                for name, one in connectors.items():
                    one.write(self.getValue(name))
        finally:
            self._showing = False

    def disconnectGui(self, tag: int | None) -> None:
        """End the connections that a tag stands for; what is no tag ends none."""
        if tag in self._guis:
            self.RemoveObserver(tag)
            self._guis.pop(tag).clear()

    def AddObserver(self, event: int, function: Callable[..., None], priority: float = 0.0) -> int:
        """Call a function when the node changes."""
        return self.parameterNode.AddObserver(event, function, priority)

    def RemoveObserver(self, tag: int) -> None:
        """Call it no longer."""
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:
        """Hold events back."""
        return self.parameterNode.StartModify()

    def EndModify(self, was: int) -> int:
        """Let events come."""
        return self.parameterNode.EndModify(was)

    def Modified(self) -> None:
        """Say that the node changed."""
        self.parameterNode.Modified()


def _widgets_of(gui: SimpleNamespace | QtWidgets.QWidget) -> list[QtWidgets.QWidget]:
    if isinstance(gui, QtWidgets.QWidget):
        return gui.findChildren(QtWidgets.QWidget)
    return list(vars(gui).values())
