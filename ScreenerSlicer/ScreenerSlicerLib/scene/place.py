"""Where a finding lies, as data: its side, and the third of what was scanned. No MRML here."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["right", "left", "midline"]
Level = Literal["upper", "middle", "lower"]


@dataclass(frozen=True)
class Place:
    """Where something lies in the patient.

    Arguments:
        side: The patient's, not the picture's.
        level: The third of the scanned body, by height.
    """

    side: Side
    level: Level
