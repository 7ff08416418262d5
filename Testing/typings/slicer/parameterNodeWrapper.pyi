"""Slicer's parameter nodes: a class of annotated fields becomes one around a node."""

from typing import Any, TypeVar

Wrapped = TypeVar("Wrapped")

def parameterNodeWrapper(kind: type[Wrapped]) -> type[Wrapped]: ...

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
