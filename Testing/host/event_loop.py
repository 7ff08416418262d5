"""How the host waits for events: as PySide does, or as harshly as Slicer.

PySide gives Python's lock (the GIL) up while Qt waits, so that threads run then. Slicer's event
loop keeps it: a thread gets it only while the main thread runs Python, or gives it up. What takes
a thread a moment here may so take minutes there.
"""

import ctypes
import sys
from pathlib import Path
from typing import final

import PySide6
from PySide6 import QtCore, QtTest

PATIENCE_MS = 5
HEARTBEAT_MS = 100
"""As often as a module's timer: more events would hand the lock over more often than Slicer does."""
WAIT_FOR_MORE = 0x04
"""`QEventLoop::WaitForMoreEvents`."""
PROCESS_EVENTS = "_ZN16QCoreApplication13processEventsE6QFlagsIN10QEventLoop17ProcessEventsFlagEE"
"""`QCoreApplication::processEvents(QEventLoop::ProcessEventsFlags)`, as compilers of Unix name it."""


@final
class EventLoop:
    """Lets timers and signals come.

    Arguments:
        holds_gil: Whether Qt keeps Python's lock while it waits, as in Slicer.

    Raises:
        NotImplementedError: The lock is to be kept on a system where that is not known to work.
    """

    def __init__(self, holds_gil: bool = False) -> None:
        self._process = _holding() if holds_gil else None
        # Without any timer of the module, Qt would wait for ever.
        self._heartbeat = QtCore.QTimer()
        if holds_gil:
            self._heartbeat.start(HEARTBEAT_MS)

    def turn(self) -> None:
        """Wait a moment, and do what has come."""
        if self._process is None:
            QtTest.QTest.qWait(PATIENCE_MS)
        else:
            self._process(WAIT_FOR_MORE)
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)

    def close(self) -> None:
        """End the timer."""
        self._heartbeat.stop()


def _holding() -> "ctypes._NamedFuncPointer":
    """Qt's own function, called without giving Python's lock up."""
    library = Path(PySide6.__file__).parent / "Qt" / "lib" / "libQt6Core.so.6"
    if sys.platform == "win32" or not library.is_file():
        raise NotImplementedError("Qt is made to keep Python's lock on Linux alone.")
    # PyDLL, and not CDLL, keeps the lock.
    function = ctypes.PyDLL(str(library))[PROCESS_EVENTS]
    function.argtypes, function.restype = [ctypes.c_int], None
    return function
