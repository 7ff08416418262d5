"""Slicer's parameter nodes: a class of annotated fields becomes one around a node."""

from typing import Any, TypeVar

_Wrapped = TypeVar("_Wrapped")

def parameterNodeWrapper(kind: type[_Wrapped]) -> type[_Wrapped]: ...

class FloatRange:
    minimum: float
    maximum: float
    def __init__(self, minimum: float, maximum: float) -> None: ...

class Default:
    def __init__(self, value: Any) -> None: ...

class WithinRange:
    def __init__(self, minimum: float, maximum: float) -> None: ...

class RangeBounds:
    def __init__(self, minimum: float, maximum: float) -> None: ...
