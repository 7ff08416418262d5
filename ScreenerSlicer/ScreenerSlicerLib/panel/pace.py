"""How fast a run went, kept for the card of the next."""

from collections.abc import Callable
from typing import final

from ScreenerSlicerLib.panel.run import RunPanel
from ScreenerSlicerLib.panel.settings import Settings
from ScreenerSlicerLib.preflight.estimate import timing_key
from ScreenerSlicerLib.preflight.hardware import Device
from ScreenerSlicerLib.preflight.models import ModelFolder


@final
class Pace:
    """Keeps what a tile took, or how a whole-volume model took, if all was as asked.

    Arguments:
        settings: Where it is kept.
        run: The run that is on.
        model: Returns the model that is chosen, if any.
        device: Returns where the run takes place, if that is known.
        seconds_a_tile: Returns what the engine measured; None before that is known.
    """

    def __init__(
        self,
        settings: Settings,
        run: RunPanel,
        model: Callable[[], ModelFolder | None],
        device: Callable[[], Device | None],
        seconds_a_tile: Callable[[], float | None],
    ) -> None:
        self._settings = settings
        self._run = run
        self._model = model
        self._device = device
        self._seconds_a_tile = seconds_a_tile
        self._timed = False
        self._foreseen: float | None = None

    def begin(self, foreseen: float | None) -> None:
        """Follow a new run.

        Arguments:
            foreseen: Seconds that the card said; None where it could not tell.
        """
        self._timed, self._foreseen = False, foreseen

    def keep_length(self) -> None:
        """Keep for the next card how a whole-volume model took."""
        model, device, engine = self._model(), self._device(), self._seconds_a_tile()
        if self._run.notice or not (model and device and engine and self._foreseen):
            return
        if model.one_speed:
            ratio = self._run.seconds / self._foreseen
            self._settings.add_times_as_long(timing_key(model, device), ratio)

    def keep_seconds(self) -> bool:
        """Keep what the first tiles took for the card and later estimates.

        Returns:
            Whether that has become known now.
        """
        model, device, seconds = self._model(), self._device(), self._seconds_a_tile()
        if self._run.notice or not (model and device and seconds) or self._timed:
            return False
        # Where there are no tiles, a step's time says nothing of another scan.
        if model.one_speed:
            return False
        self._timed = True
        self._settings.add_seconds_a_tile(timing_key(model, device), seconds)
        return True
