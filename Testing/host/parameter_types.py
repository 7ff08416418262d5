"""How a module's parameters are checked and kept as text in a node, as documented by Slicer."""

import enum
import logging
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import slicer


@dataclass(frozen=True)
class WithinRange:
    """A value lies between two bounds, both allowed."""

    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        """Raise a ValueError unless it does."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within [{self.minimum}, {self.maximum}]")


@dataclass(frozen=True)
class Minimum:
    """A value is no less than this."""

    minimum: float

    def validate(self, value: float) -> None:
        """Raise a ValueError unless it is."""
        if value < self.minimum:
            raise ValueError(f"{value} is less than {self.minimum}")


@dataclass(frozen=True)
class Maximum:
    """A value is no more than this."""

    maximum: float

    def validate(self, value: float) -> None:
        """Raise a ValueError unless it is."""
        if value > self.maximum:
            raise ValueError(f"{value} is more than {self.maximum}")


@dataclass(frozen=True)
class Choice:
    """A value is one of these."""

    choices: list[Any]

    def validate(self, value: object) -> None:
        """Raise a ValueError unless it is."""
        if value not in self.choices:
            raise ValueError(f"{value} is none of {self.choices}")


@dataclass(frozen=True)
class RangeBounds:
    """Both ends of a range lie between two bounds."""

    minimum: float
    maximum: float

    def validate(self, value: "FloatRange") -> None:
        """Raise a ValueError unless they do."""
        if not self.minimum <= value.minimum <= value.maximum <= self.maximum:
            raise ValueError(f"{value} is not within [{self.minimum}, {self.maximum}]")


@dataclass(frozen=True)
class Default:
    """What a parameter is before it is set."""

    value: Any


@dataclass(frozen=True)
class Decimals:
    """How many decimals a widget shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """By how much one step changes a widget."""

    value: float


LOG = logging.getLogger(__name__)
WITH_SUBCLASSES = (enum.Enum, Path, slicer.vtkMRMLNode)
"""Kinds of parameters that may be any subclass of these."""
VALIDATORS = (WithinRange, Minimum, Maximum, Choice, RangeBounds)
Validator = WithinRange | Minimum | Maximum | Choice | RangeBounds


@dataclass(frozen=True)
class FloatRange:
    """Two numbers, the first no greater than the second. Slicer's can be changed; set a new one."""

    minimum: float = 0
    maximum: float = 0

    def __post_init__(self) -> None:
        """Check the order."""
        if not self.minimum <= self.maximum:
            raise ValueError(f"minimum {self.minimum} is more than maximum {self.maximum}")


@final
class Parameter:
    """One field of a parameter node: its type, its checks, and its text in the node.

    Arguments:
        name: The field's name.
        annotated: Its type, with or without annotations.
        default: What was written behind `=`, or None.
    """

    def __init__(self, name: str, annotated: Any, default: Default | None) -> None:
        self.name = name
        self.annotations = list(getattr(annotated, "__metadata__", ()))
        plain = typing.get_args(annotated)[0] if self.annotations else annotated
        self.optional = typing.get_origin(plain) in (typing.Union, types.UnionType)
        self.kind = self._kind_of(plain)
        self.validators = [one for one in self.annotations if isinstance(one, VALIDATORS)]
        self.default = self._default(default)

    def _kind_of(self, plain: Any) -> type:
        if self.optional:
            plain, *others = [one for one in typing.get_args(plain) if one is not type(None)]
            if others:
                raise NotImplementedError(
                    f"The test host has no parameters of several types: {self.name}"
                )
        known = (int, float, str, bool, FloatRange)
        if isinstance(plain, type) and (plain in known or issubclass(plain, WITH_SUBCLASSES)):
            return plain
        raise TypeError(f"{self.name} cannot be a parameter: {plain}")

    def _default(self, given: Default | None) -> Any:
        written = next((one for one in self.annotations if isinstance(one, Default)), None)
        used = given or written
        unused = [
            one for one in self.annotations if one is not used and one not in self.validators
        ]
        if unused:
            LOG.warning("Unused annotations: %s", unused)
        return used.value if used else self._first_value()

    def _first_value(self) -> Any:
        if self.optional or issubclass(self.kind, slicer.vtkMRMLNode):
            return None
        if issubclass(self.kind, enum.Enum):
            return next(iter(self.kind))
        return 0 if self.kind in (int, float) else self.kind()

    @property
    def is_node(self) -> bool:
        """Whether the parameter refers to a node of the scene."""
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def is_in(self, node: slicer.vtkMRMLScriptedModuleNode) -> bool:
        """Whether the node holds a value already."""
        return any(node.HasParameter(self.name + end) for end in ("", ".none", ".minimum"))

    def check(self, value: object) -> None:
        """Raise a TypeError or a ValueError for what the parameter may not be."""
        if value is None:
            if not self.optional and not self.is_node:
                raise ValueError(f"{self.name} must not be None")
            return
        allowed = (int, float) if self.kind is float else self.kind
        if not isinstance(value, allowed):
            raise TypeError(f"{self.name} must be {self.kind.__name__}, not {value!r}")
        for validator in self.validators:
            validator.validate(value)

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: Any) -> None:
        """Check a value and keep it in the node."""
        self.check(value)
        with slicer.util.NodeModify(node):
            if self.is_node:
                node.SetParameter(self.name, "")
                node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
            elif value is None:
                node.SetParameter(f"{self.name}.none", "True")
            elif isinstance(value, FloatRange):
                node.SetParameter(f"{self.name}.minimum", str(value.minimum))
                node.SetParameter(f"{self.name}.maximum", str(value.maximum))
            else:
                node.UnsetParameter(f"{self.name}.none")
                node.SetParameter(
                    self.name, value.name if isinstance(value, enum.Enum) else str(value)
                )

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> Any:
        """The value that the node holds; the default, when closing the scene emptied the node."""
        if not self.is_in(node):
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        if node.HasParameter(f"{self.name}.none"):
            return None
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        if self.kind is FloatRange:
            ends = ("minimum", "maximum")
            return FloatRange(*(float(node.GetParameter(f"{self.name}.{end}")) for end in ends))
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)
