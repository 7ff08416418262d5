"""Qt behaves as it does in Slicer's Python, mistakes included."""

from collections.abc import Iterator

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="no PySide6", exc_type=ImportError)

from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from Testing.host.application import Application


@pytest.fixture(scope="module", autouse=True)
def application() -> Iterator[Application]:
    with Application(views=False) as host:
        yield host


class Calls(list):
    """Remembers what a signal brought."""

    def nothing(self) -> None:
        """Take no value."""
        self.append(())

    def one(self, value: object) -> None:
        """Take one value."""
        self.append((value,))

    def any(self, *values: object) -> None:
        """Take all values."""
        self.append(values)


def test_a_property_is_an_attribute_and_no_method() -> None:
    button = QtWidgets.QPushButton("Screen")
    button.enabled = False

    assert button.text == "Screen"
    assert not button.isEnabled()
    with pytest.raises(TypeError, match="not callable"):
        button.text()


def test_a_property_takes_what_python_can_turn_into_its_type() -> None:
    button, box = QtWidgets.QPushButton(), QtWidgets.QSpinBox()

    button.enabled = None
    box.value = 3.0

    assert not button.enabled
    assert box.value == 3
    with pytest.raises(TypeError):
        button.text = 3


def test_a_property_that_a_subclass_overrides_is_an_attribute_too() -> None:
    assert QtWidgets.QLabel("x").sizeHint.width() > 0
    assert isinstance(QtWidgets.QDialog().sizeHint, QtCore.QSize)


def test_a_mistyped_attribute_is_an_error() -> None:
    button = QtWidgets.QPushButton()

    with pytest.raises(AttributeError, match="'QPushButton' has no property 'toolTips'"):
        button.toolTips = "Screen the volume"
    with pytest.raises(AttributeError):
        _ = button.tooltip


def test_a_class_in_python_takes_new_attributes() -> None:
    class Dialog(QtWidgets.QDialog):
        """A dialog of a module."""

    dialog = Dialog()
    dialog.mine = 3
    dialog.windowTitle = "Title"

    assert (dialog.mine, dialog.windowTitle) == (3, "Title")


def test_a_slot_gets_as_many_values_as_it_takes() -> None:
    button, calls = QtWidgets.QPushButton(), Calls()
    for slot in (calls.nothing, calls.one, calls.any):
        assert button.connect("clicked(bool)", slot)

    button.click()

    assert calls == [(), (False,), (False,)]


def test_connecting_to_no_signal_is_an_error() -> None:
    button = QtWidgets.QPushButton()

    for signal in ("clickd()", "clicked(int)", "clicked"):
        with pytest.raises(ValueError, match="QPushButton has no signal"):
            button.connect(signal, list)
    with pytest.raises(TypeError, match="cannot be called"):
        button.connect("clicked()", None)


def test_what_is_disconnected_is_called_no_longer() -> None:
    button, calls = QtWidgets.QPushButton(), Calls()
    button.connect("clicked(bool)", calls.one)

    assert button.disconnect("clicked(bool)", calls.one)
    assert not button.disconnect("clicked(bool)", calls.one)
    button.click()

    assert calls == []


def test_a_slot_can_be_named() -> None:
    box, label = QtWidgets.QLineEdit(), QtWidgets.QLabel()
    box.connect("textChanged(QString)", label, "setText(QString)")

    box.text = "abc"

    assert label.text == "abc"


def test_what_qt_made_connects_as_well() -> None:
    table, calls = QtWidgets.QTableWidget(2, 3), Calls()
    header = table.horizontalHeader()
    header.connect("sectionClicked(int)", calls.one)

    header.sectionClicked.emit(2)

    assert calls == [(2,)]


def test_children_are_found_by_class_name_and_name() -> None:
    window = QtWidgets.QWidget()
    row = QtWidgets.QHBoxLayout(window)
    for name in ("first", "second"):
        button = QtWidgets.QPushButton()
        button.name = name
        row.addWidget(button)

    assert window.findChild("QPushButton", "second").name == "second"
    assert window.findChild("QPushButton", "third") is None
    assert [child.name for child in window.findChildren(QtWidgets.QPushButton)] == [
        "first",
        "second",
    ]
    assert window.findChild("QPushButton").className() == "QPushButton"


def test_enumerations_compare_with_numbers() -> None:
    box, calls = QtWidgets.QCheckBox(), Calls()
    box.connect("stateChanged(int)", calls.one)

    box.checked = True

    assert calls[0][0] == QtCore.Qt.CheckState.Checked
    assert box.checkState() == 2
    assert box.checkState() != QtCore.Qt.CheckState.Unchecked


def test_a_timer_ticks() -> None:
    timer, calls = QtCore.QTimer(), Calls()
    timer.interval = 1
    timer.connect("timeout()", calls.nothing)

    timer.start()
    QtTest.QTest.qWait(100)
    timer.stop()

    assert len(calls) > 2
    assert not timer.active


def test_a_name_can_be_a_property_and_a_function_of_the_class() -> None:
    timer, calls = QtCore.QTimer(), Calls()
    timer.singleShot = True

    QtCore.QTimer.singleShot(0, calls.nothing)
    QtCore.QTimer.singleShot(1, calls.nothing)
    QtTest.QTest.qWait(50)

    assert timer.singleShot is True
    assert calls == [(), ()]


def test_a_shortcut_is_pressed(application: Application) -> None:
    window, calls = QtWidgets.QWidget(), Calls()
    QtWidgets.QVBoxLayout(window).addWidget(QtWidgets.QLabel("x"))
    shortcut = QtGui.QShortcut(QtGui.QKeySequence("N"), window)
    shortcut.connect("activated()", calls.nothing)
    window.show()

    application.press(window, "N")

    assert calls == [()]


def test_python_keeps_its_none(application: Application) -> None:
    # PySide6 6.12 takes a reference to None at every call, until Python 3.11 aborts.
    button = QtWidgets.QPushButton()
    for _ in range(200_000):
        button.setText("")

    assert button.text == ""


def test_settings_are_not_the_users(application: Application) -> None:
    import qt

    assert qt.QSettings().fileName().startswith(str(application.scene.home))
    qt.QSettings().setValue("ScreenerSlicer/device", "cpu")
    assert application.app.userSettings().value("ScreenerSlicer/device") == "cpu"


def test_what_qt_six_has_not_is_missing() -> None:
    import qt

    assert qt.QPushButton is QtWidgets.QPushButton
    assert qt.QAction is QtGui.QAction
    with pytest.raises(AttributeError, match="QTextCodec"):
        _ = qt.QTextCodec
