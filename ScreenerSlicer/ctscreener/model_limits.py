"""What the settings of a model may be, checked before anything is built from them.

A damaged or made-up `model.json` would else build for ever, fill the memory, or divide by zero in
the middle of a scan.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DEPTH = 32
"""Lists and objects within each other in a `model.json`; those that exist have seven."""
LENGTH = 16
"""Levels of a network, or shells of a condition."""
MAX_QUOTED = 40


@dataclass(frozen=True)
class _Limit:
    """What the numbers of a field may be.

    Arguments:
        low: The lowest.
        high: The highest.
        whole: Whether they are whole.
        depth: How deep they lie in lists.
    """

    low: float
    high: float
    whole: bool = True
    depth: int = 0


LIMITS = {
    "spacing": _Limit(0.5, 20, whole=False, depth=1),
    "window": _Limit(-32768, 32767, whole=False, depth=1),
    "clahe_clip": _Limit(0, 1, whole=False),
    "clahe_tile": _Limit(5, 10_000, whole=False),
    "multiple": _Limit(1, 64, depth=1),
    "channels": _Limit(1, 4096, depth=1),
    "blocks": _Limit(1, 256),
    "widths": _Limit(1, 4096, depth=1),
    "bottlenecks": _Limit(1, 256, depth=1),
    "stage": _Limit(0, 8),
    "shifts": _Limit(1, 4),
    "cube": _Limit(1, 63),
    "components": _Limit(1, 4096),
    "weight": _Limit(-1e3, 1e3, whole=False),
    "centre": _Limit(-1e9, 1e9, whole=False),
    "scale": _Limit(1e-9, 1e9, whole=False),
    "stem": _Limit(1, 16, depth=1),
    "out": _Limit(1, 512),
    "inputs": _Limit(1, 65_536),
    "sincos": _Limit(0, 32),
    "ape_frequencies": _Limit(0, 32),
    "learned_shell": _Limit(0, 64, depth=1),
    "surround": _Limit(0, 64, depth=2),
    "invariant": _Limit(0, 512),
    "invariant_hidden": _Limit(1, 4096),
    "reach": _Limit(1, 64, depth=1),
    "hidden": _Limit(1, 65_536),
    "tile": _Limit(1, 256, depth=1),
    "smooth": _Limit(0, 100, whole=False),
}
"""By the name of a field, whatever it is a field of; far beyond all that is used."""
CHOICES = {"head": ("gaussian", "flow"), "covariance": ("diagonal", "full")}
OPTIONAL = ("learned", "learned_shell", "ape", "student", "elsewhere")


def check_depth(data: Any) -> None:  # noqa: ANN401 - anything JSON can hold
    """Make sure that JSON is not nested so deeply that walking it would fail.

    Arguments:
        data: What a JSON reader made of a file.

    Raises:
        ValueError: It is.
    """
    level = [data]
    for _ in range(DEPTH):
        inner = (part.values() if isinstance(part, dict) else part for part in level)
        level = [item for part in inner for item in part if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError(f"it is nested more than {DEPTH} deep")


def check_limits(settings: Mapping[str, Any]) -> None:
    """Make sure that every number in settings is one that a model can have.

    Arguments:
        settings: The settings of a model, as JSON; a name that is unknown here is passed over.

    Raises:
        ValueError: A value is of another type or out of bounds; the text names it.
    """
    for name, value in settings.items():
        if value is None and name not in OPTIONAL:
            raise ValueError(f"{name} is empty")
        if isinstance(value, dict):
            check_limits(value)
        elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
            _check_all(name, value)
        elif name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"{name} is {_short(value)}, not {' or '.join(CHOICES[name])}")
        elif name in LIMITS and value is not None:
            _check(name, value, LIMITS[name])
    window = settings.get("window", [0, 1])
    if len(window) != 2 or not window[0] < window[1]:
        raise ValueError(f"window is {_short(window)}, which is no range")


def _check_all(name: str, values: list[Any]) -> None:
    """Check a list of objects."""
    if len(values) > LENGTH or not all(isinstance(part, dict) for part in values):
        raise ValueError(f"{name} is {_short(values)}, not a list of at most {LENGTH} objects")
    for part in values:
        check_limits(part)


def _check(name: str, value: object, limit: _Limit) -> None:
    """Compare all numbers of one field with its limits."""
    kinds = int if limit.whole else int | float
    for number in _numbers(name, value, limit.depth):
        right = isinstance(number, kinds) and not isinstance(number, bool)
        if not right or not limit.low <= number <= limit.high:  # pyright: ignore[reportOperatorIssue]
            raise ValueError(
                f"{name} is {_short(number)}, not a {'whole ' if limit.whole else ''}number from "
                f"{limit.low:g} to {limit.high:g}"
            )


def _numbers(name: str, value: object, depth: int) -> Iterator[object]:
    """Walk the lists of a field, which must be short and as deep as they should be."""
    if depth == 0:
        yield value
        return
    if not isinstance(value, list) or len(value) > LENGTH:
        raise ValueError(f"{name} is {_short(value)}, not a list of at most {LENGTH}")
    for part in value:
        yield from _numbers(name, part, depth - 1)


def _short(value: object) -> str:
    """Write a value, or the beginning of it."""
    text = repr(value)
    return f"{text[:MAX_QUOTED]}..." if len(text) > MAX_QUOTED else text
