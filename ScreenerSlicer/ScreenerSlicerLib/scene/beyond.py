"""What lies above the threshold of a list of findings and is not in it. No MRML here."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Beyond:
    """What a list of findings leaves out, as the engine does.

    Arguments:
        total: Findings without the limit of their number; 0 where that is not known.
        elsewhere: How many more there are in each part of the body that was not asked for.
        all_parts: Whether all parts were asked for.
    """

    total: int = 0
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    all_parts: bool = False
