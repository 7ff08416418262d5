"""Scans that are nearly the same: public sets share patients, and a split must not part them."""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 12
"""Cells of the thumbnail along each axis."""
ALIKE = 0.15
"""Share of differing bits below which two scans count as the same. Of sixteen real scans, copies
with noise, every second slice or every second pixel differ in .10 at most, two patients in .27 at
least."""
ROWS = 2048
"""Scans that are compared with so many others at a time: two blocks of half their bits and what
comes of them take 60 MB."""
ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)
"""How many bits of a byte are set; NumPy counts them itself from version 2 on."""
FEW = 1 / 64
"""Share of the pairs of two blocks up to which the other half is compared pair by pair."""


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


def duplicates(prints: Mapping[str, str]) -> list[list[str]]:
    """Group scans whose fingerprints are nearly the same.

    All pairs are compared, block by block: memory grows by some 0.6 kB a scan and by nothing else.

    Arguments:
        prints: Name and fingerprint; an empty one is like no other.

    Returns:
        Groups of two or more names, sorted; whoever is linked through others is of the group.

    Example:
        >>> duplicates({"a": "ff00" * 40, "b": "00ff" * 40, "c": "ff00" * 39 + "ff01"})
        [['a', 'c']]
    """
    names, codes = _packed(prints)
    group = np.arange(len(names))
    for one, other in _near(codes, codes, below=True):
        group = _joined(group, one, other)
    members: dict[int, list[str]] = {}
    for name, first in zip(names, group.tolist(), strict=True):
        members.setdefault(first, []).append(name)
    return [some for some in members.values() if len(some) > 1]


def shared(prints: Mapping[str, str], others: Mapping[str, str]) -> list[tuple[str, str]]:
    """Find scans of one set that are nearly the same as scans of another, such as one trained on.

    Arguments:
        prints: Name and fingerprint; an empty one is like no other.
        others: Those of the other set.

    Returns:
        Pairs of a name of each, sorted.

    Example:
        >>> shared({"a": "ff00" * 40, "b": "00ff" * 40}, {"c": "ff00" * 40})
        [('a', 'c')]
    """
    (names, codes), (other_names, other_codes) = _packed(prints), _packed(others)
    pairs = _near(codes, other_codes, below=False)
    return sorted((names[a], other_names[b]) for one, two in pairs for a, b in zip(one, two))  # noqa: B905


def _packed(prints: Mapping[str, str]) -> tuple[list[str], np.ndarray]:
    """Names in order and the bits of their fingerprints, packed, uint8, `(n, bytes)`."""
    names = sorted(name for name, value in prints.items() if value)
    codes = [np.frombuffer(bytes.fromhex(prints[name]), np.uint8) for name in names]
    return names, np.stack(codes) if codes else np.zeros((0, 0), np.uint8)


def _near(
    codes: np.ndarray, others: np.ndarray, below: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find pairs that are alike, a block of rows against a block of rows at a time.

    Half of the bits, every second byte, come first: a pair that differs in more of them than it may
    in all is not looked at again. Of two patients that is nearly every pair.

    Arguments:
        codes: Packed bits, uint8, `(n, bytes)`.
        others: Likewise, `(m, bytes)`.
        below: Both are the same: each pair is given once, and none with itself.

    Yields:
        Indices of the one and of the other, where there are any.
    """
    # Strictly fewer bits than this may differ.
    most = ALIKE * 8 * codes.shape[1]
    for start in range(0, len(codes), ROWS):
        block = codes[start : start + ROWS]
        signs = _signs(block[:, ::2])
        for other in range(start if below else 0, len(others), ROWS):
            beside = others[other : other + ROWS]
            differing = _differing(signs, beside[:, ::2])
            one, two = np.nonzero(differing < most)
            if len(one) <= FEW * differing.size:
                rest = ONES[block[one, 1::2] ^ beside[two, 1::2]].sum(1, dtype=np.int32)
                alike = differing[one, two] + rest < most
                one, two = one[alike], two[alike]
            else:
                differing += _differing(_signs(block[:, 1::2]), beside[:, 1::2])
                one, two = np.nonzero(differing < most)
            one, two = one + start, two + other
            if below:
                one, two = one[one < two], two[one < two]
            if len(one):
                yield one, two


def _differing(signs: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Count the bits in which all pairs differ, float32, `(n, m)`, from equal ones minus others."""
    return (signs.shape[1] - signs @ _signs(codes).T) / 2


def _signs(codes: np.ndarray) -> np.ndarray:
    """Unpack bits to -1 and 1, float32."""
    signs = np.unpackbits(codes, axis=1).astype(np.float32)
    signs *= 2
    signs -= 1
    return signs


def _joined(group: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Join the groups of pairs; each group is called after its first member."""
    size = len(group)
    links = coo_array((np.ones(len(one), np.int8), (group[one], group[other])), (size, size))
    component = connected_components(links, directed=False)[1]
    first = np.full(size, size)
    np.minimum.at(first, component, np.arange(size))
    return first[component[group]]
