"""What `import qt` gives inside Slicer: all of Qt's classes in one module.

A class that Qt 6 no longer has is missing here too.
"""

from pathlib import Path

from PySide6 import QtCore

from Testing.host.pythonqt import KITS
from Testing.host.ui_files import QUiLoader

__all__ = ["QSettings", "QUiLoader"]

settings_file = Path()
"""Where the settings of the test host lie; never those of the user."""


class QSettings(QtCore.QSettings):
    """The application's settings, empty whenever a test host starts."""

    def __init__(self, *_: object) -> None:
        super().__init__(str(settings_file), QtCore.QSettings.Format.IniFormat)


def __getattr__(name: str) -> object:
    for kit in KITS:
        if hasattr(kit, name):
            return getattr(kit, name)
    raise AttributeError(f"module 'qt' has no attribute '{name}'")
