"""What `import ctk` gives: stand-ins for CTK's widgets, with their properties and signals.

They look plainer than CTK's own.
"""

from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from Testing.host.ctk_sliders import ctkRangeWidget, ctkSliderWidget
from Testing.host.stand_in import kept, stands_for_cpp

__all__ = [
    "ctkCheckBox",
    "ctkCollapsibleButton",
    "ctkCollapsibleGroupBox",
    "ctkComboBox",
    "ctkDirectoryButton",
    "ctkMessageBox",
    "ctkPathLineEdit",
    "ctkPushButton",
    "ctkRangeWidget",
    "ctkSliderWidget",
]
HEADER = 24
"""Height of the button of a collapsible section, in pixels."""
OPEN = "\N{BLACK DOWN-POINTING SMALL TRIANGLE}"
FOLDED = "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
UNLIMITED = 16777215
"""Qt's number for no greatest height."""


@stands_for_cpp
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A button over a section that it folds away; checked while the section is open."""

    contentsCollapsed = Signal(bool)
    collapsedHeight = kept("collapsedHeight", int, 10)
    flat = kept("flat", bool, False)
    contentsFrameShape = kept("contentsFrameShape", int, 0)
    contentsFrameShadow = kept("contentsFrameShadow", int, 0)
    contentsLineWidth = kept("contentsLineWidth", int, 0)
    contentsMidLineWidth = kept("contentsMidLineWidth", int, 0)

    def __init__(
        self, text: str | QtWidgets.QWidget | None = None, parent: QtWidgets.QWidget | None = None
    ) -> None:
        super().__init__(parent if isinstance(text, str) else text)
        self.setText(text if isinstance(text, str) else "")
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(2, HEADER, 2, 2)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred
        )
        self.toggled.connect(self._fold)

    def _fold(self, opened: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                # What was hidden before it was folded away stays hidden when it is opened.
                hidden = vars(child).setdefault("_hidden", False)
                vars(child)["_hidden"] = hidden if opened else child.isHidden()
                child.setVisible(opened and not hidden)
        self.setMaximumHeight(UNLIMITED if opened else HEADER)
        self.contentsCollapsed.emit(not opened)

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: not self.isChecked(), _set_collapsed)

    def hitButton(self, place: QtCore.QPoint) -> bool:
        """Only the header can be clicked."""
        return place.y() < HEADER

    def paintEvent(self, _: QtGui.QPaintEvent) -> None:
        """Draw the header; the section draws itself."""
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.rect.width(), HEADER - 2)
        option.text = f"{OPEN if self.isChecked() else FOLDED} {self.text}"
        painter = QtWidgets.QStylePainter(self)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButton, option)


@stands_for_cpp
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A box with a title that folds its contents away."""

    collapsedHeight = kept("collapsedHeight", int, 14)

    def _set_collapsed(self, collapsed: bool) -> None:
        vars(self)["_collapsed"] = collapsed
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not collapsed)

    collapsed = Property(bool, lambda self: vars(self).get("_collapsed", False), _set_collapsed)


@stands_for_cpp
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box that has a text for nothing chosen."""

    defaultText = kept("defaultText", str, "")
    scrollWheelEffect = kept("scrollWheelEffect", int, 0)


@stands_for_cpp
class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box."""


@stands_for_cpp
class ctkPushButton(QtWidgets.QPushButton):
    """A push button."""

    buttonTextAlignment = kept("buttonTextAlignment", int, 0)


@stands_for_cpp
class ctkMessageBox(QtWidgets.QMessageBox):
    """A message that can be told not to come again."""

    dontShowAgainVisible = kept("dontShowAgainVisible", bool, False)
    dontShowAgainSettingsKey = kept("dontShowAgainSettingsKey", str, "")


@stands_for_cpp
class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for the path of a file or a folder; its file dialog is missing here."""

    Dirs, Files, Drives, NoSymLinks = 0x1, 0x2, 0x4, 0x8
    Readable, Writable, Executable, Modified = 0x10, 0x20, 0x40, 0x80
    Hidden, System, NoDotAndDotDot = 0x100, 0x200, 0x1000

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    label = kept("label", str, "")
    filters = kept("filters", int, 0x7)
    options = kept("options", int, 0)
    nameFilters = kept("nameFilters", "QStringList", [])
    settingKey = kept("settingKey", str, "")
    showBrowseButton = kept("showBrowseButton", bool, True)
    showHistoryButton = kept("showHistoryButton", bool, True)
    minimumContentsLength = kept("minimumContentsLength", int, 0)
    sizeAdjustPolicy = kept("sizeAdjustPolicy", int, 1)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QComboBox()
        self._box.setEditable(True)
        self._browse = QtWidgets.QToolButton()
        self._browse.setText("...")
        self._browse.clicked.connect(lambda: self.browse())
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box, 1)
        row.addWidget(self._browse)
        self._valid = False
        self._box.editTextChanged.connect(self._on_text)

    def _on_text(self, text: str) -> None:
        valid = Path(text).exists() if text else False
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)
        self.currentPathChanged.emit(text)

    currentPath = Property(
        str,
        lambda self: self._box.currentText,
        lambda self, path: self._box.setEditText(path),
        notify=currentPathChanged,
    )

    def comboBox(self) -> QtWidgets.QComboBox:
        """The combo box in which the path is typed."""
        return self._box

    def browse(self) -> None:
        """Would open a file dialog, which no test can answer."""
        raise NotImplementedError("The test host has no file dialogs; set currentPath.")

    def addCurrentPathToHistory(self) -> None:
        """Offer this path again."""
        if self._box.findText(self.currentPath) < 0:
            self._box.addItem(self.currentPath)

    def retrieveHistory(self) -> None:
        """Would read what was offered in earlier sessions, of which there are none."""


@stands_for_cpp
class ctkDirectoryButton(QtWidgets.QPushButton):
    """A button that shows a folder; its file dialog is missing here."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)
    caption = kept("caption", str, "")

    def _set_directory(self, folder: str) -> None:
        folder = QtCore.QDir(folder).absolutePath() if folder not in ("", ".") else folder
        if folder != self.directory:
            vars(self)["_directory"] = folder
            self.setText(folder)
            self.directoryChanged.emit(folder)

    directory = Property(str, lambda self: vars(self).get("_directory", ""), _set_directory)

    def browse(self) -> None:
        """Would open a file dialog, which no test can answer."""
        raise NotImplementedError("The test host has no file dialogs; set directory.")
