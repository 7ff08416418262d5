"""A button that can be pressed, or says why not."""

import qt


def allow(button: qt.QPushButton, why_not: str) -> None:
    """Enable a button, or say in its tip why it is not.

    Arguments:
        button: The button.
        why_not: The reason; empty where it can be pressed.
    """
    button.enabled = not why_not
    button.toolTip = why_not
