"""Scans that are nearly the same: public sets share patients, and a split must not part them."""

import numpy as np
from scipy import ndimage

SIDE = 12
"""Cells of the thumbnail along each axis."""
ALIKE = 0.15
"""Share of differing bits below which two scans count as the same. Of sixteen real scans, copies
with noise, every second slice or every second pixel differ in .10 at most, two patients in .27 at
least."""
ROWS = 256
"""Scans that are compared with all others at a time."""


def fingerprint(image: np.ndarray) -> str:
    """Hash a prepared scan so that nearly the same scans have nearly the same hash.

    The scan, in canonical axes and cropped to the body, is averaged to a small cube. Each bit says
    whether a cell is brighter than the next one along an axis, which neither the window nor the
    spacing nor the noise of a scan changes much. Other parts of the same patient are not found.

    Arguments:
        image: Grey values, uint8, `(D, H, W)`.

    Returns:
        Hexadecimal.
    """
    smooth = image.astype(np.float32)
    for axis in range(3):
        cell = image.shape[axis] / SIDE
        smooth = ndimage.gaussian_filter1d(smooth, cell / 2, axis, mode="nearest", truncate=3)
        at = np.clip((np.arange(SIDE) + 0.5) * cell - 0.5, 0, image.shape[axis] - 1)
        below = np.floor(at).astype(int)
        above = np.minimum(below + 1, image.shape[axis] - 1)
        share = (at - below).reshape([-1 if other == axis else 1 for other in range(3)])
        low, high = np.take(smooth, below, axis), np.take(smooth, above, axis)
        smooth = (low + (high - low) * share).astype(np.float32)
    bits = [np.diff(smooth, axis=axis).ravel() > 0 for axis in range(3)]
    return np.packbits(np.concatenate(bits)).tobytes().hex()


def duplicates(prints: dict[str, str]) -> list[list[str]]:
    """Group scans whose fingerprints are nearly the same.

    Arguments:
        prints: Name and fingerprint; an empty one is like no other.

    Returns:
        Groups of two or more names, sorted.

    Example:
        >>> duplicates({"a": "ff00" * 40, "b": "00ff" * 40, "c": "ff00" * 39 + "ff01"})
        [['a', 'c']]
    """
    names = sorted(name for name, value in prints.items() if value)
    if len(names) < 2:
        return []
    codes = np.stack([np.frombuffer(bytes.fromhex(prints[name]), np.uint8) for name in names])
    signs = np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1
    # Equal bits minus differing ones.
    limit = (1 - 2 * ALIKE) * signs.shape[1]
    group = np.arange(len(names))
    for start in range(0, len(names), ROWS):
        for row, other in np.argwhere(signs[start : start + ROWS] @ signs.T > limit):
            one, two = group[start + row], group[other]
            group[group == max(one, two)] = min(one, two)
    found = [[names[k] for k in np.flatnonzero(group == first)] for first in np.unique(group)]
    return [members for members in found if len(members) > 1]
