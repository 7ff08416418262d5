"""What is asked of every scan of a cohort, as it passes from process to process."""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ctscreener.errors import InputError
from ctscreener.screen_command import MOST

if TYPE_CHECKING:
    from ctscreener.model import Model
    from ctscreener.screening import ScreenSettings


@dataclass(frozen=True)
class Asked:
    """How to screen, without anything that needs torch: the one who hands out work has none.

    Arguments:
        model: Name or folder, as a worker finds it.
        encoder: File of the encoder's weights, for a model that does not hold them.
        device: As `ScreenSettings.device`.
        threshold: As `FindingSettings.threshold`.
        min_volume: As `FindingSettings.min_volume_ml`.
        most: As `FindingSettings.most`.
        overlap: As `ScreenSettings.overlap`; None for the default.
        all_parts: As `ScreenSettings.all_parts`.
        full: Keep the map of float32 and the picture, too.
    """

    model: str = "preview"
    encoder: str | None = None
    device: str = "auto"
    threshold: float = 3.0
    min_volume: float = 0.1
    most: int = 5
    overlap: float | None = None
    all_parts: bool = False
    full: bool = False

    def check(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            InputError: `option.invalid`.
        """
        ranges = {
            "--threshold": (self.threshold, 0, 20),
            "--min-volume": (self.min_volume, 0, 1e6),
            "--most": (self.most, 1, MOST),
            "--overlap": (0 if self.overlap is None else self.overlap, 0, 0.9),
        }
        for option, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise InputError(
                    "option.invalid",
                    f"Expected {option} from {low:g} to {high:g}, found {value:g}.",
                    f"Give another {option}.",
                )

    def settings(self) -> "ScreenSettings":
        """The same for the engine, on the machine of this process."""
        from ctscreener.device import find_device
        from ctscreener.findings import FindingSettings
        from ctscreener.screening import ScreenSettings

        settings = ScreenSettings(
            findings=FindingSettings(self.threshold, self.min_volume, self.most),
            device=find_device(self.device),
            all_parts=self.all_parts,
        )
        return settings if self.overlap is None else replace(settings, overlap=self.overlap)

    def load(self) -> "Model":
        """Load the model, once in a process.

        Raises:
            InputError: One of `load_model`.
        """
        return _load(self.model, self.encoder)


def wanted(asked: Asked) -> dict[str, Any]:
    """Describe the request, see `ctscreener.provenance.request`: that of this process.

    Raises:
        InputError: One of `load_model`, or `device.unavailable`.
    """
    from ctscreener.provenance import request

    # As it comes back from JSON, which knows no tuples.
    return json.loads(json.dumps(request(asked.load(), asked.settings(), None)))


@lru_cache(maxsize=1)
def _load(model: str, encoder: str | None) -> "Model":
    from pathlib import Path

    from ctscreener.model import load_model

    return load_model(model, Path(encoder) if encoder else None)
