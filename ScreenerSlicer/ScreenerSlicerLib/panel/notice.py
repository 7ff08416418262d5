"""What nobody is to overlook: this is for research, and a map without colour proves nothing."""

from types import SimpleNamespace
from typing import final

import slicer
import slicer.util

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.panel.settings import ACKNOWLEDGED, Settings
from ScreenerSlicerLib.translation import tr as _


@final
class NoticePanel:
    """Shows the notice, always, and asks once for each installation whether it was read.

    Arguments:
        ui: The widgets by their names.
        settings: Where the answer is kept.
    """

    def __init__(self, ui: SimpleNamespace, settings: Settings) -> None:
        self._settings = settings
        ui.noticeLabel.text = NOTICE

    def is_read(self) -> bool:
        """Ask, unless the user has agreed before; false where the user does not agree."""
        # With `--testing` nobody is there to answer.
        if slicer.app.testingEnabled() or self._settings.get(ACKNOWLEDGED):
            return True
        about = _("Screener shows what is rare among the scans that a model was trained on.")
        title = _("Screener: before the first run")
        agreed = slicer.util.confirmOkCancelDisplay(f"{about}\n\n{NOTICE}", windowTitle=title)
        if agreed:
            self._settings[ACKNOWLEDGED] = "1"
        return bool(agreed)
