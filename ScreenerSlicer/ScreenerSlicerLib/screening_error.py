"""What is raised where a screening was waited for and ended without a result."""

from typing import Self, final

from ScreenerSlicerLib.screening import Update
from ScreenerSlicerLib.translation import tr as _


@final
class ScreeningError(Exception):
    """A screening ended without a result.

    Arguments:
        code: A short, stable name: that of the engine's error, `cancelled` or `dropped`.
        message: What happened, as a sentence.
        action: What to do about it; empty where there is nothing to do.
    """

    def __init__(self, code: str, message: str, action: str = "") -> None:
        super().__init__(f"{message} {action}".strip())
        self.code = code
        self.message = message
        self.action = action

    @classmethod
    def of(cls, update: Update) -> Self:
        """Make one of the update with which a run ended, not by `done`."""
        if update.error is not None:
            return cls(update.error.code, update.error.message, update.error.action)
        return cls(update.state, update.reason or _("The screening was cancelled."))
