"""PySide6 with the manners of PythonQt, through which Python inside Slicer sees Qt.

- Qt properties are attributes: `button.text`, `button.enabled = False`; `button.text()` fails.
- `button.connect("clicked(bool)", function)`, with as many arguments as the function takes.
- What a C++ object does not have cannot be set: `button.toolTips = "..."` is an error.
- Enumerations compare with numbers; `name`, `className()`, `delete()` and `exec_()` are there.

One thing is stricter. Inside Slicer, to connect to a signal that does not exist gives a warning
and False, and the button does nothing; here it is an error.
"""

import enum
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

KITS: tuple[ModuleType, ...] = (QtCore, QtGui, QtWidgets)
"""The parts of Qt that a module in Slicer uses."""
MADE_BY_QT = {
    QtCore.QObject: ("parent", "sender"),
    QtWidgets.QWidget: ("layout", "window", "parentWidget"),
    QtWidgets.QComboBox: ("lineEdit", "view", "model"),
    QtWidgets.QAbstractItemView: ("selectionModel", "model"),
    QtWidgets.QTableView: ("horizontalHeader", "verticalHeader"),
    QtWidgets.QTreeView: ("header",),
    QtWidgets.QDialogButtonBox: ("button", "addButton"),
    QtWidgets.QMessageBox: ("button", "addButton"),
    QtWidgets.QMenu: ("addAction",),
    QtWidgets.QSplitter: ("handle",),
}
"""Methods that return objects which no Python code made."""
NUMBERS: dict[str, Callable[[Any], object]] = {"bool": bool, "int": int, "double": float}
"""Properties of these types take what Python can turn into one, such as None for False."""
AS_IN_CPP = "_as_in_cpp"
"""Classes with this attribute stand for a C++ class: new attributes are refused."""

_find_children = QtCore.QObject.findChildren
_children = QtCore.QObject.children
_native_connect = QtCore.QObject.connect
_kept: list[QtCore.QObject] = []


@cache
def install() -> None:
    """Change PySide6 for the rest of this process."""
    classes = list(object_classes())
    for cls in classes:
        _expose_properties(cls)
    for cls in classes:
        _let_instances_connect(cls)
        cls.__setattr__ = _set_attribute
    for cls, names in MADE_BY_QT.items():
        for name in names:
            _teach_result(cls, name)
    for kind in enumerations():
        _compare_with_numbers(kind)
    _add_methods()


def object_classes() -> Iterator[type[QtCore.QObject]]:
    """Every class of Qt objects."""
    yield from (cls for cls in all_classes() if issubclass(cls, QtCore.QObject))


def enumerations() -> Iterator[type[enum.Enum]]:
    """Enumerations of Qt that are no numbers in Python, though they are in C++."""
    for owner in all_classes():
        for kind in vars(owner).values():
            if isinstance(kind, enum.EnumMeta) and not issubclass(kind, int):
                yield kind


def all_classes() -> Iterator[type]:
    """Every class of Qt. PySide makes them when they are asked for, so `vars` has but a few."""
    for kit in KITS:
        things = (getattr(kit, name) for name in dir(kit))
        yield from (thing for thing in things if isinstance(thing, type))


def _expose_properties(cls: type[QtCore.QObject]) -> None:
    meta = cls.staticMetaObject
    if meta.className().rpartition("::")[2] != cls.__name__:
        return
    for index in range(meta.propertyCount()):
        name = meta.property(index).name()
        # Of inherited ones, only those whose getter the class has once more.
        if name in vars(cls) or (index >= meta.propertyOffset() and name[0] != "_"):
            setattr(cls, name, _property_of(cls, meta.property(index)))


class QtProperty(property):
    """A property of objects; on the class it stays what it was, such as `QTimer.singleShot`."""

    on_class: Callable[..., object] | None = None

    def __get__(self, this: object, owner: type | None = None) -> object:
        """Read the property, or the class's own method."""
        if this is None and self.on_class is not None:
            return self.on_class
        return super().__get__(this, owner)


def _property_of(cls: type[QtCore.QObject], about: QtCore.QMetaProperty) -> QtProperty:
    """A Python property on a Qt property, through Qt's own methods where there are some."""
    name, convert = about.name(), NUMBERS.get(about.typeName(), lambda value: value)
    capital = name[0].upper() + name[1:]
    getter = _method(cls, f"is{capital}", f"has{capital}", name)
    setter = _method(cls, f"set{capital}")

    def read(this: QtCore.QObject) -> object:
        return getter(this) if getter else this.property(name)

    def write(this: QtCore.QObject, value: object) -> None:
        if setter:
            setter(this, convert(value))
        elif not this.setProperty(name, convert(value)):
            raise AttributeError(f"'{name}' of '{cls.__name__}' cannot be set to {value!r}")

    made = QtProperty(read, write if about.isWritable() else None)
    made.on_class = _method(cls, name)
    return made


def _method(cls: type[QtCore.QObject], *names: str) -> Callable[..., object] | None:
    """The first of these that is a method of the class, or none."""
    found = (getattr(cls, name, None) for name in names)
    return next((method for method in found if callable(method)), None)


def teach(thing: Any) -> Any:
    """Let an object that Qt made connect as in PythonQt; anything else is returned as it is."""
    if isinstance(thing, QtCore.QObject) and "connect" not in vars(thing):
        _let_connect(thing)
        # What is set on the Python side would go when Python looks away.
        _kept.append(thing)
    return thing


def forget() -> None:
    """Let go of the objects that Qt made."""
    _kept.clear()


def _let_connect(this: QtCore.QObject) -> None:
    # PySide finds its own connect before any in the class; only the instance comes first.
    connections: list[_Connection] = []
    vars(this)["connect"] = lambda *arguments: _connect(this, connections, *arguments)
    vars(this)["disconnect"] = lambda *arguments: _disconnect(this, connections, *arguments)


def _let_instances_connect(cls: type[QtCore.QObject]) -> None:
    start = cls.__init__

    def __init__(this: QtCore.QObject, *arguments: object, **options: object) -> None:
        start(this, *arguments, **options)
        if "connect" not in vars(this):
            _let_connect(this)

    cls.__init__ = __init__


_Connection = tuple[str, Callable[..., object], Callable[..., object]]
"""Signal, function as it was given, function as Qt calls it."""


def _connect(this: QtCore.QObject, connections: list[_Connection], *arguments: Any) -> Any:
    # So PySide itself calls it, in QTimer.singleShot.
    if isinstance(arguments[0], QtCore.QObject):
        return _native_connect(*arguments)
    signal, slot = _signal_and_slot(this, *arguments)
    emitted = signal.count(",") + 1 if "()" not in signal else 0
    accepted = _accepted(slot, emitted)

    def called(*values: object) -> None:
        slot(*values[:accepted])

    _bound_signal(this, signal).connect(called)
    connections.append((signal, slot, called))
    return True


def _disconnect(this: QtCore.QObject, connections: list[_Connection], *arguments: Any) -> bool:
    signal, slot = _signal_and_slot(this, *arguments)
    found = next((entry for entry in connections if entry[:2] == (signal, slot)), None)
    if found is None:
        return False
    connections.remove(found)
    _bound_signal(this, signal).disconnect(found[2])
    return True


def _signal_and_slot(
    this: QtCore.QObject, signal: str, receiver: object, slot: str = ""
) -> tuple[str, Callable[..., object]]:
    """Understand both `(signal, function)` and `(signal, object, "slot()")`."""
    signature = QtCore.QMetaObject.normalizedSignature(signal).data().decode()
    known = getattr(type(this), "vtk_signals", {}).get(signature, signature)
    if this.metaObject().indexOfSignal(known) < 0:
        raise ValueError(f"{this.metaObject().className()} has no signal '{signal}'")
    function = getattr(receiver, slot.partition("(")[0]) if slot else receiver
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called when '{signal}' comes")
    return signature, function


def _bound_signal(this: QtCore.QObject, signature: str) -> QtCore.SignalInstance:
    """The signal of an object, the overload of this signature where there are several."""
    name, _, types = signature.rstrip(")").partition("(")
    signal = getattr(this, name)
    # PySide breaks when asked for an overload without arguments.
    if not types or signature in getattr(type(this), "vtk_signals", {}):
        return signal
    try:
        return signal[types]
    except (KeyError, IndexError, TypeError):
        return signal


def _accepted(function: Callable[..., object], emitted: int) -> int:
    """How many of a signal's values a function takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return emitted
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return emitted
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(emitted, sum(one.kind in positional for one in parameters))


def _set_attribute(this: QtCore.QObject, name: str, value: object) -> None:
    cls = type(this)
    known = inspect.getattr_static(cls, name, None)
    if isinstance(known, QtCore.Property):
        if known.fset is None:
            raise AttributeError(f"'{name}' of '{cls.__name__}' can only be read")
        known.fset(this, value)
    elif hasattr(type(known), "__set__"):
        type(known).__set__(known, this, value)
    elif known is None and name not in vars(this) and _is_cpp(cls) and name[0] != "_":
        raise AttributeError(
            f"'{cls.__name__}' has no property '{name}', and C++ objects take no new attributes"
        )
    else:
        vars(this)[name] = value


def _is_cpp(cls: type) -> bool:
    return cls.__module__.startswith("PySide6") or AS_IN_CPP in vars(cls)


def _teach_result(cls: type[QtCore.QObject], name: str) -> None:
    method = getattr(cls, name)
    setattr(cls, name, lambda this, *arguments: teach(method(this, *arguments)))


def _compare_with_numbers(kind: type[enum.Enum]) -> None:
    def same(this: enum.Enum, other: object) -> bool:
        return this.value == (other.value if isinstance(other, enum.Enum) else other)

    kind.__eq__ = same
    kind.__hash__ = lambda this: hash(this.value)
    kind.__int__ = lambda this: int(this.value)


def _add_methods() -> None:
    base = QtCore.QObject
    base.name = property(
        lambda this: this.objectName, lambda this, value: this.setObjectName(value)
    )
    base.className = lambda this: this.metaObject().className()
    base.delete = lambda this: shiboken6.delete(this)
    base.children = lambda this: [teach(child) for child in _children(this)]
    base.findChildren = find_children
    base.findChild = lambda this, kind=base, name="": next(
        iter(find_children(this, kind, name)), None
    )
    for cls in (QtWidgets.QDialog, QtWidgets.QMenu, QtCore.QEventLoop):
        cls.exec_ = lambda this, *arguments: this.exec(*arguments)


def find_children(
    this: QtCore.QObject, kind: type | str = QtCore.QObject, name: str = ""
) -> list[QtCore.QObject]:
    """Children and theirs, of a class or of a class's name, with a name if one is given."""
    cls = kind if isinstance(kind, type) else QtCore.QObject
    found = _find_children(this, cls, name) if name else _find_children(this, cls)
    return [teach(one) for one in found if isinstance(kind, type) or one.inherits(kind)]
