"""Rarity in the words of a reader: 3 is one voxel in a thousand."""

import math


def one_in(rarity: float) -> str:
    """Write of how many voxels of the reference scans one is as rare, to two digits.

    Example:
        >>> one_in(3.0), one_in(3.5), one_in(0.3)
        ('1,000', '3,200', '2')
    """
    count = 10.0**rarity
    digits = max(0, math.floor(rarity) - 1)
    return f"{round(count, -digits):,.0f}"
