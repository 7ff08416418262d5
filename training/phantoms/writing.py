"""Volumes on disk; nothing half-written ever bears a final name."""

from pathlib import Path

import numpy as np

from ctscreener.itk import to_image
from ctscreener.maps import write_image
from ctscreener.whole_file import whole_file


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray, private: bool = True) -> None:
    """Write a volume so that nothing half-written ever bears its name.

    Arguments:
        path: File to write; its ending chooses the format.
        values: `(D, H, W)`, of the type that is to be stored.
        affine: Voxel to RAS mm, `(4, 4)`.
        private: Let its owner alone read it.

    Raises:
        InputError: The disk is full, or the folder may not be written.
    """
    with whole_file(path, private) as part:
        write_image(part, to_image(values, affine))
