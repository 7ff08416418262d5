"""Which widget can show which parameter, and how the two are kept alike."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.host import ctk_sliders, ctk_widgets, mrml_widgets
from Testing.host.parameter_types import (
    Choice,
    Decimals,
    FloatRange,
    Maximum,
    Minimum,
    Parameter,
    RangeBounds,
    SingleStep,
    WithinRange,
)

SLIDERS = (ctk_sliders.ctkSliderWidget, mrml_widgets.qMRMLSliderWidget)
RANGES = (ctk_sliders.ctkRangeWidget, mrml_widgets.qMRMLRangeWidget)


@dataclass(frozen=True)
class Connector:
    """A widget that shows a parameter; without a signal, nobody can enter anything."""

    signal: QtCore.SignalInstance | None
    read: Callable[[], Any]
    write: Callable[[Any], None]


def connector(widget: QtWidgets.QWidget, parameter: Parameter) -> Connector:
    """Prepare a widget for a parameter: its bounds, its choices, its classes of nodes.

    Raises:
        RuntimeError: When Slicer connects no such widget to such a parameter.
    """
    for fits, connect in KINDS:
        if fits(parameter) and (made := connect(widget, parameter)):
            return made
    raise RuntimeError(
        f"a {type(widget).__name__} cannot show {parameter.name}, a {parameter.kind.__name__}"
    )


def _of_property(widget: QtWidgets.QWidget, name: str, signal: str) -> Connector:
    return Connector(
        getattr(widget, signal),
        lambda: getattr(widget, name),
        lambda value: setattr(widget, name, value),
    )


def _annotation(parameter: Parameter, kind: type) -> Any:
    return next((one for one in parameter.annotations if isinstance(one, kind)), None)


def _bool(widget: QtWidgets.QWidget, _: Parameter) -> Connector | None:
    if type(widget) in (QtWidgets.QCheckBox, ctk_widgets.ctkCheckBox):
        return _of_property(widget, "checked", "stateChanged")
    if type(widget) is QtWidgets.QPushButton:
        widget.setCheckable(True)
        return _of_property(widget, "checked", "toggled")
    return None


def _number(widget: QtWidgets.QWidget, parameter: Parameter) -> Connector | None:
    fractions = (QtWidgets.QDoubleSpinBox, *SLIDERS)
    whole = (QtWidgets.QSlider, QtWidgets.QSpinBox) if parameter.kind is int else ()
    if type(widget) not in (*fractions, *whole):
        return None
    if isinstance(widget, fractions) and parameter.kind is int:
        widget.decimals = 0
    for kind, name in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        if annotation := _annotation(parameter, kind):
            setattr(widget, name, annotation.value)
    widget.setRange(*_bounds(widget, parameter))
    return Connector(
        widget.valueChanged,
        lambda: parameter.kind(widget.value),
        lambda value: setattr(widget, "value", value),
    )


def _bounds(widget: QtWidgets.QWidget, parameter: Parameter) -> tuple[float, float]:
    """The least and the greatest value that a widget is to offer."""
    within = _annotation(parameter, WithinRange)
    lowest = within or _annotation(parameter, Minimum)
    highest = within or _annotation(parameter, Maximum)
    if isinstance(widget, (QtWidgets.QSlider, *SLIDERS)) and not (lowest and highest):
        raise RuntimeError(f"A slider cannot show {parameter.name}, which is unbounded")
    none = 2**31 - 1 if parameter.kind is int else float("inf")
    return lowest.minimum if lowest else -none, highest.maximum if highest else none


def _range(widget: QtWidgets.QWidget, parameter: Parameter) -> Connector | None:
    if type(widget) not in RANGES:
        return None
    bounds = _annotation(parameter, RangeBounds)
    if bounds is None:
        raise RuntimeError(f"{parameter.name} is unbounded: add a RangeBounds annotation")
    widget.setRange(bounds.minimum, bounds.maximum)
    return Connector(
        widget.valuesChanged,
        lambda: FloatRange(widget.minimumValue, widget.maximumValue),
        lambda value: widget.setValues(value.minimum, value.maximum),
    )


def _choice(widget: QtWidgets.QWidget, parameter: Parameter) -> Connector | None:
    if type(widget) not in (QtWidgets.QComboBox, ctk_widgets.ctkComboBox):
        return None
    values, labels = _choices_of(parameter)
    widget.clear()
    widget.addItems(labels)
    return Connector(
        widget.currentIndexChanged,
        lambda: values[widget.currentIndex],
        lambda value: widget.setCurrentIndex(values.index(value)),
    )


def _choices_of(parameter: Parameter) -> tuple[list[Any], list[str]]:
    """The values among which to choose, and what the user reads for each."""
    if issubclass(parameter.kind, enum.Enum):
        label = getattr(parameter.kind, "label", lambda one: one.name)
        return list(parameter.kind), [label(one) for one in parameter.kind]
    choice = _annotation(parameter, Choice)
    if choice is None:
        raise RuntimeError(f"A combo box cannot show {parameter.name}: add a Choice annotation")
    return list(choice.choices), [str(one) for one in choice.choices]


def _text(widget: QtWidgets.QWidget, _: Parameter) -> Connector | None:
    if type(widget) is QtWidgets.QLineEdit:
        return _of_property(widget, "text", "textChanged")
    if type(widget) is QtWidgets.QLabel:
        return Connector(None, lambda: widget.text, widget.setText)
    if type(widget) is QtWidgets.QTextEdit:
        return _of_property(widget, "plainText", "textChanged")
    return None


def _path(widget: QtWidgets.QWidget, parameter: Parameter) -> Connector | None:
    names = {
        ctk_widgets.ctkPathLineEdit: ("currentPath", "currentPathChanged"),
        ctk_widgets.ctkDirectoryButton: ("directory", "directoryChanged"),
    }
    if type(widget) not in names:
        return None
    name, signal = names[type(widget)]
    return Connector(
        getattr(widget, signal),
        lambda: parameter.kind(getattr(widget, name)),
        lambda value: setattr(widget, name, str(value)),
    )


def _node(widget: QtWidgets.QWidget, parameter: Parameter) -> Connector | None:
    if type(widget) is not mrml_widgets.qMRMLNodeComboBox:
        return None
    widget.nodeTypes = [parameter.kind.__name__]
    return Connector(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)


KINDS: tuple[
    tuple[
        Callable[[Parameter], bool],
        Callable[[QtWidgets.QWidget, Parameter], Connector | None],
    ],
    ...,
] = (
    (lambda parameter: parameter.is_node, _node),
    (lambda parameter: parameter.kind is bool, _bool),
    (lambda parameter: parameter.kind in (int, float), _number),
    (lambda parameter: parameter.kind is FloatRange, _range),
    (lambda parameter: parameter.kind is str, _text),
    (lambda parameter: issubclass(parameter.kind, Path), _path),
    (lambda parameter: issubclass(parameter.kind, (enum.Enum, int, float, str)), _choice),
)
"""Tried in this order: which parameters, and what connects them."""
