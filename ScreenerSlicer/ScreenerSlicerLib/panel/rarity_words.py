"""Rarity in the words of a reader: 3 is one voxel in a thousand, or a share of .1 per cent."""

import math
from typing import Literal

Unit = Literal["rarity", "count", "share"]
UNITS: tuple[Unit, ...] = ("rarity", "count", "share")

from ctscreener.rarity_text import rarity_text
from ScreenerSlicerLib.translation import tr as _


def one_in(rarity: float, counted: float = math.inf) -> str:
    """Write of how many voxels of the reference scans one is as rare, to two digits.

    Arguments:
        rarity: How rare it is.
        counted: The highest rarity that was counted on the reference scans.

    Example:
        >>> one_in(3.0), one_in(3.5), one_in(0.3)
        ('1,000', '3,200', '2')
    """
    if rarity > counted:
        return _("more than {count}").format(count=one_in(math.floor(10 * counted) / 10))
    count = 10.0**rarity
    digits = max(0, math.floor(rarity) - 1)
    return f"{round(count, -digits):,.0f}"


def share(rarity: float) -> str:
    """Write which share of the voxels of the reference scans is as rare, to two digits.

    Example:
        >>> share(3.0), share(3.5), share(1.3)
        ('0.10 %', '0.032 %', '5.0 %')
    """
    percent = 100 * 10.0**-rarity
    digits = max(0, 1 - math.floor(math.log10(percent) + 1e-9))
    return f"{percent:.{digits}f} %"


def in_unit(rarity: float, unit: Unit, counted: float = math.inf) -> str:
    """Write a rarity in a unit; what lies beyond all that was counted as just that.

    Example:
        >>> [in_unit(4.0, unit) for unit in UNITS]
        ['4.0', '10,000', '0.010 %']
    """
    if rarity > counted and unit == "share":
        return f"< {share(math.floor(10 * counted) / 10)}"
    words = {"rarity": rarity_text(rarity, counted), "count": one_in(rarity, counted)}
    return words[unit] if unit in words else share(rarity)


def rarity_of(text: str, unit: Unit) -> float | None:
    """Read a rarity that was typed in a unit.

    Returns:
        The rarity; None where the text is no such number.

    Example:
        >>> rarity_of("3,200", "count"), rarity_of("0.1 %", "share"), rarity_of("many", "count")
        (3.505149978319906, 3.0, None)
    """
    plain = text.replace("%", "").replace(" ", "")
    # A comma parts thousands in a count; in the other units it can only be the decimal sign.
    plain = plain.replace(",", "" if unit == "count" else ".")
    try:
        number = float(plain)
    except ValueError:
        return None
    if unit == "rarity":
        return number if math.isfinite(number) else None
    as_rare = 100 / number if unit == "share" and number > 0 else number
    return math.log10(as_rare) if 0 < as_rare < math.inf else None
