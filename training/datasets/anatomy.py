"""Which way a scan lies, told by the liver, the spine and the lungs, where its header is wrong."""

import numpy as np
from scipy import ndimage

from ctscreener.scan import Scan

BODY_HU, BONE_HU, LUNG_HU = -300.0, 250.0, -700.0
SIDE_MM = 5.0
"""How far the liver, or the bones, must lie from the middle of the body to decide."""
LUNG_ML = 50.0
CELLS = 96
"""Voxels along an axis that are looked at."""


def mended_affine(scan: Scan, liver: np.ndarray) -> np.ndarray:
    """Mirror an affine until the liver lies on the right, the spine behind, the lungs on top.

    Arguments:
        scan: A scan of an abdomen, whose axes run along the body's in any direction.
        liver: Where its liver is, bool, in its shape.

    Returns:
        The affine, mirrored about the middle of its grid along the axes R, A and S that are
        clearly the wrong way round, `(4, 4)`; as it was where nothing says so.
    """
    step = tuple(slice(None, None, max(1, -(-size // CELLS))) for size in scan.shape)
    hu, here = scan.hu[step], liver[step]
    body = ndimage.binary_opening(hu > BODY_HU)
    if not here.any() or not body.any():
        return scan.affine
    index = np.diag([*(float(one.step) for one in step), 1.0])
    affine = scan.affine @ index
    middle, organ = _middle(body, affine), _middle(here, affine)
    wrong = np.zeros(3, dtype=bool)
    wrong[0] = organ[0] - middle[0] < -SIDE_MM
    bone = hu > BONE_HU
    wrong[1] = bone.any() and _middle(bone, affine)[1] - middle[1] > SIDE_MM
    lungs = _filled(body, affine) & (hu < LUNG_HU)
    enough = lungs.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000 > LUNG_ML
    wrong[2] = enough and _middle(lungs, affine)[2] < organ[2]
    mirror = np.diag([*np.where(wrong, -1.0, 1.0), 1.0])
    centre = scan.affine[:3] @ [*((np.array(scan.shape) - 1) / 2), 1.0]
    mirror[:3, 3] = np.where(wrong, 2 * centre, 0)
    return mirror @ scan.affine


def _middle(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


def _filled(body: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The body with the air in it, slice by slice across its long axis."""
    along = int(np.abs(affine[2, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax())
    slices = np.moveaxis(body, along, 0)
    filled = np.array([ndimage.binary_fill_holes(one) for one in slices], dtype=bool)
    return np.moveaxis(filled, 0, along)


def lies_left(scan: Scan, liver: np.ndarray) -> bool:
    """Whether a liver lies clearly on the left, as its scan's affine has it."""
    return bool(liver.any()) and not np.allclose(
        mended_affine(scan, liver)[0, :3], scan.affine[0, :3]
    )


def mirrored(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Turn a mask around along the axis that runs from left to right."""
    across = int(np.abs(affine[0, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax())
    return np.ascontiguousarray(np.flip(mask, across))
