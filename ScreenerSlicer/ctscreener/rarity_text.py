"""Rarity as a person reads it: a number as far as it was counted, `> 5.5` beyond."""

import math
from collections.abc import Mapping
from typing import Any

COUNTED = "rarity_counted_up_to"
"""Where the provenance of a result says so, under `model`."""


def rarity_text(rarity: float, counted: float = math.inf, digits: int = 1) -> str:
    """Write a rarity.

    Arguments:
        rarity: The number.
        counted: The highest rarity that was counted on the reference scans.
        digits: Of the number, after its point.

    Example:
        >>> rarity_text(3.456, 5.58), rarity_text(5.61, 5.58), rarity_text(3.456, digits=2)
        ('3.5', '> 5.5', '3.46')
    """
    if rarity <= counted:
        return f"{rarity:.{digits}f}"
    # Rounded down, so that what stands there was counted.
    return f"> {math.floor(10 * counted) / 10:.1f}"


def counted_up_to(provenance: Mapping[str, Any]) -> float:
    """Look up the highest rarity that was counted; no end where a result does not say.

    Arguments:
        provenance: Of a result.
    """
    found = provenance.get("model", {}).get(COUNTED)
    return math.inf if found is None else float(found)
