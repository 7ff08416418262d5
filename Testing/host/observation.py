"""How a stand-in looks at the scene without outliving what it looks at."""

from collections.abc import Callable, Sequence
from typing import final
from weakref import WeakMethod

import shiboken6
import vtk
from PySide6 import QtWidgets


@final
class Observation:
    """Calls a widget when something of VTK changes, for as long as there is the widget.

    VTK keeps what it calls, so it is given nothing that keeps the widget; and it calls even what
    Python is about to throw away, so nothing must be left with it when the widget goes.

    Arguments:
        widget: The widget.
        react: A method of the widget.
    """

    def __init__(self, widget: QtWidgets.QWidget, react: Callable[[], None]) -> None:
        self._react = WeakMethod(react)
        self._links: list[tuple[vtk.vtkObject, int]] = []
        # PySide would not keep a method.
        links = self._links
        widget.destroyed.connect(lambda: _cut(links))

    def of(self, thing: vtk.vtkObject | None, events: Sequence[int]) -> None:
        """Look at this from now on, or at nothing."""
        _cut(self._links)
        react = self._react

        def call(*_: object) -> None:
            method = react()
            if method is not None and shiboken6.isValid(method.__self__):
                method()

        if thing is not None:
            self._links.extend((thing, thing.AddObserver(event, call)) for event in events)


def _cut(links: list[tuple[vtk.vtkObject, int]]) -> None:
    """End observations."""
    for thing, tag in links:
        thing.RemoveObserver(tag)
    links.clear()
