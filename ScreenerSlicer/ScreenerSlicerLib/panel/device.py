"""The choice of a device, from what a probe found in the background, and where a run will be."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import final

from ScreenerSlicerLib.panel.settings import DEVICE, Settings
from ScreenerSlicerLib.preflight.hardware import Device, Hardware, choose_device, torch_build
from ScreenerSlicerLib.preflight.probe import Probe
from ScreenerSlicerLib.translation import tr as _


@final
class DevicePanel:
    """Lets the user choose a device, and says for as long as it is so that it is the processor.

    Arguments:
        ui: The widgets by their names.
        settings: Where the choice is kept.
        on_change: Called when another device was chosen.

    Attributes:
        hardware: What the machine offers; None before the probe has ended.
        device: Where a run will be; None before the probe has ended.
    """

    def __init__(
        self, ui: SimpleNamespace, settings: Settings, on_change: Callable[[], None]
    ) -> None:
        self._ui = ui
        self._settings = settings
        self._on_change = on_change
        self._probe = Probe()
        self._names: list[str] = []
        self.hardware: Hardware | None = None
        self.device: Device | None = None
        self._fill()
        ui.deviceBox.connect("currentIndexChanged(int)", self._choose)

    def look_again(self) -> None:
        """Probe the machine anew: memory may be free that was not."""
        self._probe = Probe()

    def update(self) -> bool:
        """Take over what the probe found; true where that is news."""
        found = self._probe.hardware
        if found is None or found is self.hardware:
            return False
        self.hardware = found
        self._fill()
        return True

    @property
    def probing(self) -> bool:
        """Whether the probe has something to tell yet."""
        found = self._probe.hardware
        return found is None or found is not self.hardware

    @property
    def wanted(self) -> str:
        """What the engine is asked for: `auto`, `cpu`, `cuda:N` or `mps`."""
        return self._names[max(0, self._ui.deviceBox.currentIndex)]

    def foresee(self) -> None:
        """Find out where a run will be, with the PyTorch that is installed now."""
        if self.hardware is not None:
            self.device = choose_device(self.hardware, self.wanted, torch_build())
        notice = self.device.notice if self.device else ""
        self._ui.deviceNoticeLabel.text = notice
        self._ui.deviceNoticeLabel.visible = bool(notice)

    def _fill(self) -> None:
        found = self.hardware or Hardware()
        offered = {"auto": _("Automatic"), "cpu": _("Processor (CPU)")}
        offered |= {f"cuda:{number}": str(gpu) for number, gpu in enumerate(found.gpus)}
        if found.apple:
            offered["mps"] = _("Apple GPU")
        self._names = list(offered)
        box = self._ui.deviceBox
        blocked = box.blockSignals(True)
        box.clear()
        for label in offered.values():
            box.addItem(label)
        last = self._settings.get(DEVICE, "auto")
        box.setCurrentIndex(self._names.index(last) if last in self._names else 0)
        box.blockSignals(blocked)
        self.foresee()

    def _choose(self, index: int) -> None:
        self._settings[DEVICE] = self._names[index]
        self.foresee()
        self._on_change()
