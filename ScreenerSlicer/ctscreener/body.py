"""Which voxels of a CT belong to the body: the box that is kept, the mask that is scored."""

import numpy as np
from scipy import ndimage
from skimage import measure

from ctscreener.errors import InputError

Box = tuple[slice, slice, slice]

DENSE_HU = -500.0
"""Air below, tissue above (Goncharov et al., arXiv 2502.08321, appendix D)."""
EMPTY_HU = -930.0
"""Smoothed air below this is empty room or bowel gas; lung parenchyma lies above."""
BLOCK_MM = 5.0
"""A block of this size counts as body only if all of it is dense: tables and tubes do not."""
CORE_MM = 7.0
"""What an opening of this size removes (table plates, sheets, cables) is no body."""
PLATE_MM = 20.0
"""What is thinner than this within a slice and stands out from the body is a table, no body."""
SMALLEST_BODY_ML = 100.0
"""Less tissue than this is no body."""
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
    hu = np.where(measured, hu, -1000.0).astype(np.float32)
    core = tissue_core(hu, spacing)
    # What lies beyond the scan's ends is no air: through it the room would reach the lungs.
    body = ~outside_air(core | beyond, hu) & measured
    return without_plates(body, spacing)


def tissue_core(hu: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Dense voxels of the body's large parts, thin things such as table plates removed."""
    dense = hu >= DENSE_HU
    size = [max(1, round(CORE_MM / step) // 2 * 2 + 1) for step in spacing]
    # The borders count as dense, so that tissue cut off by the field of view stays.
    eroded = ndimage.minimum_filter(dense, size, mode="nearest")
    parts = regions(eroded)
    count = int(parts.max())
    volumes = np.bincount(parts.ravel(), minlength=count + 1)[1:] * np.prod(spacing) / 1000
    if not count or volumes.max() < SMALLEST_BODY_ML:
        raise no_body(f"less than {SMALLEST_BODY_ML:g} ml of tissue lie together")
    kept = np.flatnonzero(volumes >= SHARE_OF_LARGEST * volumes.max()) + 1
    opened = ndimage.maximum_filter(np.isin(parts, kept), size, mode="nearest")
    return np.logical_and(opened, dense)


def without_plates(body: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The body without what is thin within its slices: a table that touches it, a sheet, a cushion.

    At the borders the mask is mirrored: a table along the border stays thin, while a body that the
    field of view cuts stays, but for slivers of less than half that size. Fingers and tips of chins
    are lost with the tables: they are not scored.
    """
    size = [1, *(max(1, round(PLATE_MM / step) // 2 * 2 + 1) for step in spacing[1:])]
    thick = ndimage.minimum_filter(body, size, mode="reflect")
    return np.asarray(ndimage.maximum_filter(thick, size, mode="reflect") & body)


def outside_air(core: np.ndarray, hu: np.ndarray) -> np.ndarray:
    """Voxels that are reached from the empty air at the in-plane border without crossing `core`.

    Lung that touches the border, where the field of view cuts through the patient, is no seed:
    it is not empty.
    """
    empty = ndimage.uniform_filter(hu, 3, mode="nearest") < EMPTY_HU
    seeds = np.zeros_like(core)
    for face in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        seeds[face] = empty[face] & ~core[face]
    parts = regions(~core)
    reached = np.zeros(parts.max() + 1, bool)
    reached[parts[seeds]] = True
    reached[0] = False
    return reached[parts]


def regions(mask: np.ndarray) -> np.ndarray:
    """Number the 6-connected regions of a mask from 1 on, 0 outside, `(D, H, W)`."""
    return np.asarray(measure.label(mask, connectivity=1))


def no_body(found: str) -> InputError:
    """The error of a scan in which there is nothing to score."""
    return InputError(
        "scan.no_body",
        f"Expected a CT of the chest or abdomen, found no body: {found}.",
        "Check that the voxels are Hounsfield units and that the scan shows a torso.",
    )
