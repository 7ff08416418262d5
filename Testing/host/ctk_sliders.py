"""Stand-ins for CTK's sliders: one value, or a range, with boxes to type into."""

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from Testing.host.stand_in import kept, stands_for_cpp

STEPS = 1000
"""Places of the bar under a slider, whatever its values are."""
HIGHEST = 99.0
"""CTK's sliders go from 0 to this, before they are told otherwise."""


def spin_box() -> QtWidgets.QDoubleSpinBox:
    """A box to type a value into, which is told when the typing is done."""
    box = QtWidgets.QDoubleSpinBox()
    box.setRange(0.0, HIGHEST)
    box.setDecimals(2)
    box.setKeyboardTracking(False)
    return box


@stands_for_cpp
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a box that always show the same value."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    pageStep = kept("pageStep", float, 10.0)
    tickInterval = kept("tickInterval", float, 0.0)
    tracking = kept("tracking", bool, True)
    popupSlider = kept("popupSlider", bool, False)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = spin_box()
        self._bar = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._bar.setRange(0, STEPS)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar, 1)
        row.addWidget(self._box)
        self._box.valueChanged.connect(self._on_value)
        self._bar.valueChanged.connect(self._on_bar)

    def _on_value(self, value: float) -> None:
        self._show_value()
        self.valueChanged.emit(value)

    def _on_bar(self, place: int) -> None:
        self._box.setValue(self.minimum + (self.maximum - self.minimum) * place / STEPS)

    def _show_value(self) -> None:
        extent = self.maximum - self.minimum
        blocked = self._bar.blockSignals(True)
        self._bar.setValue(round((self.value - self.minimum) / extent * STEPS) if extent else 0)
        self._bar.blockSignals(blocked)

    def _set_minimum(self, minimum: float) -> None:
        self._box.setMinimum(minimum)
        self._show_value()

    def _set_maximum(self, maximum: float) -> None:
        self._box.setMaximum(maximum)
        self._show_value()

    minimum = Property(float, lambda self: self._box.minimum, _set_minimum)
    maximum = Property(float, lambda self: self._box.maximum, _set_maximum)
    value = Property(
        float,
        lambda self: self._box.value,
        lambda self, value: self._box.setValue(value),
        notify=valueChanged,
    )
    singleStep = Property(
        float, lambda self: self._box.singleStep, lambda self, step: self._box.setSingleStep(step)
    )
    decimals = Property(
        int, lambda self: self._box.decimals, lambda self, count: self._box.setDecimals(count)
    )
    prefix = Property(
        str, lambda self: self._box.prefix, lambda self, text: self._box.setPrefix(text)
    )
    suffix = Property(
        str, lambda self: self._box.suffix, lambda self, text: self._box.setSuffix(text)
    )
    spinBoxVisible = Property(
        bool,
        lambda self: not self._box.isHidden(),
        lambda self, visible: self._box.setVisible(visible),
    )

    def setRange(self, minimum: float, maximum: float) -> None:
        """Set the least and the greatest value."""
        self.minimum = minimum
        self.maximum = maximum

    def reset(self) -> None:
        """Go back to 0, or to what is nearest."""
        self.value = 0.0

    def spinBox(self) -> QtWidgets.QDoubleSpinBox:
        """The box."""
        return self._box


@stands_for_cpp
class ctkRangeWidget(QtWidgets.QWidget):
    """Two boxes for the ends of a range; CTK draws a slider with two handles between them."""

    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)
    rangeChanged = Signal(float, float)
    tracking = kept("tracking", bool, True)
    tickInterval = kept("tickInterval", float, 0.0)
    symmetricMoves = kept("symmetricMoves", bool, False)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = spin_box(), spin_box()
        self._high.setValue(HIGHEST)
        self._row = QtWidgets.QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addWidget(self._low)
        self._row.addStretch(1)
        self._row.addWidget(self._high)
        self._low.valueChanged.connect(self._on_low)
        self._high.valueChanged.connect(self._on_high)

    def _on_low(self, value: float) -> None:
        self._high.setValue(max(value, self._high.value))
        self.minimumValueChanged.emit(value)
        self.valuesChanged.emit(self.minimumValue, self.maximumValue)

    def _on_high(self, value: float) -> None:
        self._low.setValue(min(value, self._low.value))
        self.maximumValueChanged.emit(value)
        self.valuesChanged.emit(self.minimumValue, self.maximumValue)

    def setRange(self, minimum: float, maximum: float) -> None:
        """Set the least and the greatest value of both ends."""
        self._low.setRange(minimum, maximum)
        self._high.setRange(minimum, maximum)
        self.rangeChanged.emit(minimum, maximum)

    def setValues(self, low: float, high: float) -> None:
        """Set both ends."""
        self._low.setValue(low)
        self._high.setValue(high)

    def _set_decimals(self, count: int) -> None:
        self._low.setDecimals(count)
        self._high.setDecimals(count)

    def _set_step(self, step: float) -> None:
        self._low.setSingleStep(step)
        self._high.setSingleStep(step)

    def _set_suffix(self, text: str) -> None:
        self._low.setSuffix(text)
        self._high.setSuffix(text)

    minimum = Property(
        float,
        lambda self: self._low.minimum,
        lambda self, minimum: self.setRange(minimum, self.maximum),
    )
    maximum = Property(
        float,
        lambda self: self._high.maximum,
        lambda self, maximum: self.setRange(self.minimum, maximum),
    )
    minimumValue = Property(
        float, lambda self: self._low.value, lambda self, value: self._low.setValue(value)
    )
    maximumValue = Property(
        float, lambda self: self._high.value, lambda self, value: self._high.setValue(value)
    )
    decimals = Property(int, lambda self: self._low.decimals, _set_decimals)
    singleStep = Property(float, lambda self: self._low.singleStep, _set_step)
    suffix = Property(str, lambda self: self._low.suffix, _set_suffix)
