"""Rarity in the words of a reader: 3 is one voxel in a thousand."""

import math

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
