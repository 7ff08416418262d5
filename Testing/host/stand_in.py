"""What every stand-in for a C++ widget has in common."""

from collections.abc import Callable

from PySide6 import QtCore, QtWidgets

from Testing.host.pythonqt import AS_IN_CPP


def kept(name: str, kind: type | str, default: object) -> QtCore.Property:
    """A Qt property that changes nothing here, remembered so that code which sets it runs.

    Arguments:
        name: The property's own name.
        kind: Its type, as PySide wants it.
        default: What it is before it is set.
    """
    place = f"_{name}"

    def read(this: QtCore.QObject) -> object:
        return vars(this).get(place, default)

    def write(this: QtCore.QObject, value: object) -> None:
        vars(this)[place] = value

    return QtCore.Property(kind, read, write)


def stands_for_cpp(
    cls: type[QtWidgets.QWidget],
) -> type[QtWidgets.QWidget]:
    """Let a class take no new attributes, and give each property the `setX` of its C++ class."""
    setattr(cls, AS_IN_CPP, True)
    for name, thing in list(vars(cls).items()):
        setter = f"set{name[0].upper()}{name[1:]}"
        if isinstance(thing, QtCore.Property) and thing.fset and not hasattr(cls, setter):
            setattr(cls, setter, _setter(thing.fset))
    return cls


def _setter(write: Callable[..., None]) -> Callable[..., None]:
    return lambda this, value: write(this, value)
