"""Masks brought to the grid of their scan, and contours filled."""

import numpy as np
from skimage.draw import polygon

from ctscreener.errors import InputError
from ctscreener.resampling import resample
from ctscreener.scan import Scan, same_grid
from training.datasets.example import Example, Mask, Reader


def on_grid(mask: Mask, scan: Scan, name: str, resampled: bool = False) -> np.ndarray:
    """Bring labels to the grid of their scan.

    Arguments:
        mask: Labels and the affine of their grid.
        scan: The scan.
        name: What the mask is called, for messages.
        resampled: Take the nearest voxel of a mask on another grid, in place of refusing it.

    Returns:
        Labels, uint8, in the shape of the scan.

    Raises:
        InputError: `mask.grid`.
    """
    labels, affine = mask
    if same_grid(labels.shape, affine, scan.shape, scan.affine):
        return labels
    if resampled:
        return resample(labels, affine, scan.affine, scan.shape, 0, nearest=True)
    raise InputError(
        "mask.grid",
        f"Expected {name} on the {scan.shape} voxels of its scan, found {labels.shape} "
        "or another place.",
        "Give --resample-masks to take the nearest voxels, or resample the mask yourself.",
    )


def filled(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Find the pixels whose centres lie inside a closed contour.

    Arguments:
        points: Corners of the contour as (column, row), centres of pixels at whole numbers,
            `(N, 2)`.
        shape: Rows and columns of the image.

    Returns:
        bool, `(rows, columns)`.

    Example:
        >>> square = np.array([[0.5, 0.5], [3.5, 0.5], [3.5, 2.5], [0.5, 2.5]])
        >>> filled(square, (4, 5)).astype(int)
        array([[0, 0, 0, 0, 0],
               [0, 1, 1, 1, 0],
               [0, 1, 1, 1, 0],
               [0, 0, 0, 0, 0]])
    """
    found = np.zeros(shape, dtype=bool)
    found[polygon(points[:, 1], points[:, 0], shape)] = True
    return found


def lesions_of(
    reader: Reader, example: Example, scan: Scan, resampled: bool = False
) -> np.ndarray | None:
    """Read the lesions of an example, without the organs that its mask shows as well.

    Arguments:
        reader: Of its set.
        example: The example.
        scan: Its scan.
        resampled: As for `on_grid`.

    Returns:
        Labels as in the mask, 0 where organs are, uint8, in the shape of the scan; None where the
        set, or this scan of it, tells of no lesions.

    Raises:
        InputError: `mask.grid`, or what the reader raises.
    """
    if reader.lesions is None or example.mask is None:
        return None
    labels = on_grid(reader.mask(example, scan), scan, example.mask.name, resampled)
    return np.where(np.isin(labels, reader.organs), np.uint8(0), labels)
