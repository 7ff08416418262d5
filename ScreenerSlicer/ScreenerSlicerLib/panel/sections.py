"""The sections of the panel: open while they have something to say."""

from types import SimpleNamespace

OF_A_RESULT = ("heatMapButton", "findingsButton")


def open_result(ui: SimpleNamespace, there_is_one: bool) -> None:
    """Open what shows a result, or fold it away where there is none.

    Arguments:
        ui: The widgets by their names.
        there_is_one: Whether there is a result.
    """
    for name in OF_A_RESULT:
        getattr(ui, name).collapsed = not there_is_one


def begin_reading(ui: SimpleNamespace) -> None:
    """A run has ended: its settings make room for what it found."""
    ui.scanButton.collapsed = True
