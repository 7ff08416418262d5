"""Which voxels of a CT belong to the body: the box that is kept, the mask that is scored."""

import numpy as np
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.regions import IN_PLANE, label, next_to, odd
from ctscreener.scan import Box

DENSE_HU = -500.0
"""Air below, tissue above (Goncharov et al., arXiv 2502.08321, appendix D)."""
EMPTY_HU = -930.0
"""Smoothed air below this is empty room or bowel gas; lung parenchyma lies above."""
CLEAR_HU = -975.0
"""Below this it is not even destroyed lung."""
EMPTY_SHARE = 0.25
"""Air is that of the room if so much of what it shows at the border of the slice is empty."""
SIDES = (1, 2, 4, 8)
"""Bits for tissue before, behind, right and left of a voxel in its slice."""
OPEN, HALF_ENCLOSED, SUNK_IN = 1.4, 1.75, 2.5
"""Sides with tissue, on average: cut lungs have 1.5 to 3, open air has fewer, and the inside of a
couch that the patient sinks into up to 2.3."""
NO_TISSUE = 0.05
"""A region has no tissue on one side if fewer of its voxels have some there."""
BLOCK_MM = 5.0
"""A block of this size counts as body only if all of it is dense: tables and tubes do not."""
LUNG_HU = -970.0
"""Smoothed lung lies above, even where it is destroyed."""
LUNG_MM = 9.0
"""What is thinner is no lung: slots between cushions, edges of the skin."""
LUNG_ML = 10.0
"""Nor is a smaller region."""
WALL_MM = 8.0
"""Tissue so close to a lung is its wall, however thin the wall is."""
CORE_MM = 7.0
"""What an opening of this size removes (table plates, sheets, cables) is no body."""
PLATE_MM = 20.0
"""What is thinner than this within a slice and stands out from the body is a table, no body."""
SMALLEST_BODY_ML = 100.0
"""Less tissue than this is no body."""
FOAM_HU = (-550.0, -250.0)
"""Smoothed foam of a couch, and what lies between its plate and the skin: less than any tissue."""
FOAM_MM = 4.5
"""Layers thinner than this, or than three voxels, are the skin, half of whose voxels is air."""
BELOW_SHARE = 0.8
"""A part of which so much lies behind the back is what the patient lies on."""
SHARE_OF_LARGEST = 0.05
"""Separate parts, such as arms, are kept from this share of the largest part on."""


def body_box(hu: np.ndarray, spacing: np.ndarray) -> Box:
    """The box around all dense blocks.

    Arguments:
        hu: Hounsfield units, NaN where not measured, `(D, H, W)`.
        spacing: mm along `(D, H, W)`.

    Returns:
        A slice for each axis.

    Raises:
        InputError: `scan.no_body` where no block is dense.
    """
    block = np.ceil(BLOCK_MM / spacing).astype(int)
    whole = [extent // size * size for extent, size in zip(hu.shape, block, strict=True)]
    dense = hu[: whole[0], : whole[1], : whole[2]] >= DENSE_HU
    split = [n for extent, size in zip(whole, block, strict=True) for n in (extent // size, size)]
    blocks = dense.reshape(split).all(axis=(1, 3, 5))
    if not blocks.any():
        raise no_body("no block of 5 mm is denser than -500 HU")
    box = ndimage.find_objects(blocks.astype(np.uint8))[0]
    d, h, w = (
        slice(side.start * size, side.stop * size) for side, size in zip(box, block, strict=True)
    )
    return d, h, w


def body_mask(hu: np.ndarray, spacing: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """The body with its lungs and bowel gas, without table, sheets and the air around.

    The air of the room is found slice by slice: it does not follow nose and windpipe into the
    lungs. Nor does it come in where the field of view cuts the patient.

    Arguments:
        hu: Hounsfield units, NaN where not measured, `(D, H, W)`, D towards superior.
        spacing: mm along `(D, H, W)`.
        beyond: Voxels beyond the scan's first or last slice, bool, `(D, H, W)`.

    Returns:
        bool, `(D, H, W)`.

    Raises:
        InputError: `scan.no_body` where too little tissue is found.
    """
    measured = np.isfinite(hu)
    edge = at_the_border(measured & next_to(~measured & ~beyond))
    smooth = smoothed(hu, measured)
    with np.errstate(invalid="ignore"):
        dense = hu >= DENSE_HU
    core = tissue_core(dense, measured | beyond, spacing)
    sides = sides_with(core)
    air = ~dense & measured
    room = room_air(air, smooth, sides, edge)
    lung = lungs(air & ~room & (smooth >= LUNG_HU), sides, spacing)
    if lung.any():
        near = ndimage.maximum_filter(lung, odd(WALL_MM * 2, spacing))
        core |= np.logical_and(near, dense)
    free = ~core & measured
    room = room_air(free, smooth, sides, edge)
    body = measured & ~(room | pockets(free & ~room, room, lung))
    return without_plates(body & ~foam(body, smooth, measured, spacing), spacing)


def tissue_core(dense: np.ndarray, measured: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Dense voxels of the body's large parts, thin things such as table plates removed.

    Raises:
        InputError: `scan.no_body`.
    """
    size = odd(CORE_MM, spacing)
    # Borders and padding count as dense, so that tissue cut off by the field of view stays.
    eroded = ndimage.minimum_filter(dense | ~measured, size, mode="nearest") & dense
    parts, count = label(eroded)
    volumes = np.bincount(parts.ravel(), minlength=count + 1)[1:] * np.prod(spacing) / 1000
    if not count or volumes.max() < SMALLEST_BODY_ML:
        raise no_body(f"less than {SMALLEST_BODY_ML:g} ml of tissue lie together")
    largest = parts == volumes.argmax() + 1
    behind = np.bincount(parts[below(largest) & eroded], minlength=count + 1)[1:]
    large = volumes >= SHARE_OF_LARGEST * volumes.max()
    couch = behind * np.prod(spacing) / 1000 > BELOW_SHARE * volumes
    kept = np.flatnonzero(large & ~couch) + 1
    opened = ndimage.maximum_filter(np.isin(parts, kept), size, mode="nearest")
    return np.logical_and(opened, dense)


def below(mask: np.ndarray) -> np.ndarray:
    """Voxels behind the hindmost voxel that a mask has in their slice or beside it."""
    rows = ndimage.maximum_filter1d(mask.any(axis=2), 5, axis=0)
    behind = ~np.maximum.accumulate(rows[:, ::-1], axis=1)[:, ::-1]
    behind &= rows.any(axis=1, keepdims=True)
    return np.broadcast_to(behind[..., None], mask.shape)


def smoothed(hu: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Means over 3 x 3 x 3 voxels, of those that were measured."""
    if measured.all():
        return ndimage.uniform_filter(hu.astype(np.float32), 3, mode="nearest")
    total = ndimage.uniform_filter(np.where(measured, hu, np.float32(0)), 3, mode="nearest")
    share = ndimage.uniform_filter(measured.astype(np.float32), 3, mode="nearest")
    return total / np.maximum(share, 0.01)


def room_air(
    free: np.ndarray, smooth: np.ndarray, sides: np.ndarray, edge: np.ndarray
) -> np.ndarray:
    """Voxels that are reached within their slice from its border, or from padding.

    Lung that touches them, where the field of view cuts through the patient, is not meant. It is
    rarely as empty as the room, and has tissue before and behind it; the inside of a couch has not.

    Arguments:
        free: Voxels that are no tissue, bool, `(D, H, W)`.
        smooth: Smoothed HU.
        sides: On which sides there is tissue, from `sides_with`.
        edge: Voxels at the border of their slice, or next to padding.
    """
    regions, count = label(free, IN_PLANE)
    before, behind, right, left = side_shares(regions[free], sides[free], count)
    enclosed = before + behind + right + left
    at, hu = regions[edge], smooth[edge]
    shown = np.bincount(at, minlength=count + 1)
    empty, clear = (
        np.bincount(at[hu < limit], minlength=count + 1) / np.maximum(shown, 1)
        for limit in (EMPTY_HU, CLEAR_HU)
    )
    room = (clear > EMPTY_SHARE) & ((enclosed < HALF_ENCLOSED) | (clear > 0.5))
    room |= (empty > EMPTY_SHARE) & (enclosed < OPEN)
    room |= (before < NO_TISSUE) & (enclosed < HALF_ENCLOSED)
    room |= (behind < NO_TISSUE) & (enclosed < SUNK_IN)
    room &= shown > 0
    room[0] = False
    return room[regions]


def at_the_border(edge: np.ndarray) -> np.ndarray:
    """A mask with the border of each slice."""
    edge = edge.copy()
    edge[:, [0, -1]] = True
    edge[:, :, [0, -1]] = True
    return edge


def pockets(enclosed: np.ndarray, room: np.ndarray, lung: np.ndarray) -> np.ndarray:
    """Enclosed air that opens to the room in other slices, as between arm and trunk.

    Windpipe and lungs open to it as well, through the nose; they are known by the lung.
    """
    regions, count = label(enclosed)
    opens = np.zeros(count + 1, bool)
    opens[regions[1:][room[:-1]]] = True
    opens[regions[:-1][room[1:]]] = True
    opens[regions[lung]] = False
    opens[0] = False
    return opens[regions]


def lungs(air: np.ndarray, sides: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The inner part of large, thick regions of enclosed air that have tissue around.

    Arguments:
        air: Enclosed voxels as dense as lung, bool, `(D, H, W)`.
        sides: On which sides there is tissue, from `sides_with`.
        spacing: mm along `(D, H, W)`.
    """
    size = odd(LUNG_MM, spacing)
    inner = np.asarray(ndimage.minimum_filter(air, size, mode="nearest"), dtype=bool)
    parts, count = label(inner)
    volumes = np.bincount(parts.ravel(), minlength=count + 1) * np.prod(spacing) / 1000
    before, behind, right, left = side_shares(parts[inner], sides[inner], count)
    wanted = (volumes >= LUNG_ML) & (before + behind + right + left > OPEN)
    wanted &= (before > NO_TISSUE) & (behind > NO_TISSUE)
    wanted[0] = False
    return np.asarray(ndimage.maximum_filter(wanted[parts], size, mode="nearest") & air)


def side_shares(regions: np.ndarray, sides: np.ndarray, count: int) -> list[np.ndarray]:
    """How much of each region has tissue before, behind, right and left of it.

    Arguments:
        regions: Number of each voxel's region, `(N,)`.
        sides: Its bits from `sides_with`, `(N,)`.
        count: The highest number.

    Returns:
        Four shares, `(count + 1,)` each.
    """
    voxels = np.maximum(np.bincount(regions, minlength=count + 1), 1)
    found = [np.bincount(regions[(sides & side) > 0], minlength=count + 1) for side in SIDES]
    return [number / voxels for number in found]


def sides_with(core: np.ndarray) -> np.ndarray:
    """On which sides in its slice a voxel has some core: a bit of uint8 for each of `SIDES`."""
    sides = np.zeros(core.shape, np.uint8)
    for axis in (1, 2):
        before = np.maximum.accumulate(core, axis)
        behind = np.flip(np.maximum.accumulate(np.flip(core, axis), axis), axis)
        for side, seen in zip(SIDES[2 * axis - 2 :], (before, behind), strict=False):
            sides |= seen * np.uint8(side)
    return sides


def without_plates(body: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The body without what is thin within its slices: a table that touches it, a sheet, a cushion.

    At the borders the mask is mirrored: a table along the border stays thin, while a body that the
    field of view cuts stays, but for slivers of less than half that size. Fingers and tips of chins
    are lost with the tables: they are not scored.
    """
    size = [1, *odd(PLATE_MM, spacing)[1:]]
    thick = ndimage.minimum_filter(body, size, mode="reflect")
    return np.asarray(ndimage.maximum_filter(thick, size, mode="reflect") & body)


def foam(
    body: np.ndarray, smooth: np.ndarray, measured: np.ndarray, spacing: np.ndarray
) -> np.ndarray:
    """What of the body is a soft layer behind the back: a couch that the back lies upon.

    Arguments:
        body: The mask with what touches the body, bool, `(D, H, W)`.
        smooth: Smoothed HU.
        measured: Which voxels were measured. Lung that a field of view cuts ends at those that
            were not, and is no foam.
        spacing: mm along `(D, H, W)`.
    """
    soft = body & (smooth < FOAM_HU[1])
    # Sheets of a voxel or two, as plates within the foam are, hide nothing behind the back.
    sides = sides_with(np.asarray(ndimage.minimum_filter(body & ~soft, [1, 3, 3]), dtype=bool))
    behind = (sides & (SIDES[0] | SIDES[1])) == SIDES[0]
    regions, count = label(soft & (smooth >= FOAM_HU[0]) & behind, IN_PLANE)
    outside = np.zeros(count + 1, bool)
    outside[regions[next_to(measured & ~body)]] = True
    outside[0] = False
    layers = outside[regions]
    size = [1, *(max(3, voxels) for voxels in odd(FOAM_MM, spacing)[1:])]
    thick = ndimage.minimum_filter(layers, size)
    return np.asarray(ndimage.maximum_filter(thick, size) & layers)


def no_body(found: str) -> InputError:
    """The error of a scan in which there is nothing to score."""
    return InputError(
        "scan.no_body",
        f"Expected a CT of the chest or abdomen, found no body: {found}.",
        "Check that the voxels are Hounsfield units and that the scan shows a torso.",
    )
