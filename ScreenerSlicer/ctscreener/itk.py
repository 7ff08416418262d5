"""An image as SimpleITK holds it: the one place where LPS and `(x, y, z)` order are known.

SimpleITK is imported where it is used, here and elsewhere: a training on prepared scans does without.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import SimpleITK as sitk

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS mm to LPS mm and back: left and posterior are positive in LPS."""


def from_image(image: "sitk.Image") -> tuple[np.ndarray, np.ndarray]:
    """Take voxels and their affine out of a three-dimensional image.

    Arguments:
        image: An image of one value a voxel.

    Returns:
        The values, of the image's own type, `(D, H, W)`, and the affine from voxel index
        `(d, h, w, 1)` to RAS mm, float64, `(4, 4)`.
    """
    import SimpleITK as sitk

    assert image.GetDimension() == 3, "checked where images are read"
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), in_array_order(LPS @ affine)


def to_image(values: np.ndarray, affine: np.ndarray) -> "sitk.Image":
    """Make an image of voxels and their affine: the inverse of `from_image`.

    Arguments:
        values: Any type that SimpleITK knows, `(D, H, W)`.
        affine: Voxel index `(d, h, w, 1)` to RAS mm, `(4, 4)`, with no axis of length 0.

    Returns:
        An image with the spacing, origin and direction of the affine.
    """
    import SimpleITK as sitk

    assert values.ndim == 3, "an affine places three axes"
    in_lps = LPS @ in_array_order(affine)
    spacing = np.linalg.norm(in_lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(in_lps[:3, 3].tolist())
    image.SetDirection((in_lps[:3, :3] / spacing).ravel().tolist())
    return image


def in_array_order(affine: np.ndarray) -> np.ndarray:
    """Turn an affine of index `(x, y, z, 1)` into one of `(d, h, w, 1)`, or the other way.

    Arguments:
        affine: `(4, 4)`.

    Returns:
        The affine with its first and third column swapped.
    """
    return affine[:, [2, 1, 0, 3]]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep SimpleITK from printing warnings: what matters in them reaches users as an error."""
    import SimpleITK as sitk

    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
