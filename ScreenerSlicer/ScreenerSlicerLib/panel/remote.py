"""Another machine in the panel: its address, and what that means for a scan."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import final

from ScreenerSlicerLib.panel.settings import REMOTE, REMOTE_PYTHON, Settings
from ScreenerSlicerLib.preflight.hardware import Device
from ScreenerSlicerLib.preflight.models import ModelFolder
from ScreenerSlicerLib.process.remote import ANY, Remote, is_address
from ScreenerSlicerLib.translation import tr as _

PYTHON = Remote("localhost").python


@final
class RemotePanel:
    """Lets the user name a machine that screens in the place of this one.

    Arguments:
        ui: The widgets by their names.
        settings: Where the choice is kept.
        on_change: Called when another machine was named, or none.
    """

    def __init__(
        self, ui: SimpleNamespace, settings: Settings, on_change: Callable[[], None]
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._on_change = on_change
        ui.remoteEdit.text = settings.get(REMOTE, "")
        ui.remotePythonEdit.text = settings.get(REMOTE_PYTHON, PYTHON)
        ui.remoteEdit.connect("editingFinished()", self._take)
        ui.remotePythonEdit.connect("editingFinished()", self._take)
        self._show()

    @property
    def refusal(self) -> str:
        """Why nothing can be screened over there; empty where it can, or here."""
        text = self._ui.remoteEdit.text.strip()
        if not text or is_address(text):
            return ""
        return _("Another machine is named as host or user@host.")

    @property
    def device(self) -> Device | None:
        """Where a run will take place; None for this machine."""
        address = self._ui.remoteEdit.text.strip()
        if not is_address(address):
            return None
        return Device(f"remote:{address}", _("on {address}, by ssh").format(address=address))

    def machine(self, model: ModelFolder) -> Remote | None:
        """Return the machine that screens; None for this one.

        Arguments:
            model: The model that has to be used there.
        """
        address = self._ui.remoteEdit.text.strip()
        if not is_address(address):
            return None
        python = self._ui.remotePythonEdit.text.strip() or PYTHON
        return Remote(address, python, model.sha256 or ANY)

    def _take(self) -> None:
        self._settings[REMOTE] = self._ui.remoteEdit.text.strip()
        self._settings[REMOTE_PYTHON] = self._ui.remotePythonEdit.text.strip()
        self._show()
        self._on_change()

    def _show(self) -> None:
        address = self._ui.remoteEdit.text.strip()
        sent = _("The scan is sent to {address} and removed there after the run.")
        self._ui.remoteLabel.text = self.refusal or sent.format(address=address)
        self._ui.remoteLabel.visible = bool(address)
        self._ui.remotePythonEdit.visible = bool(address)
