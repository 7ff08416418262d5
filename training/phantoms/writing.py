"""Volumes and records on disk; nothing half-written ever bears a final name."""

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ctscreener.maps import write_image
from ctscreener.whole_file import whole_file, write_text


def _image(values: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Wrap an array for writing; the files count millimetres in LPS."""
    image = sitk.GetImageFromArray(values)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, [2, 1, 0]]
    spacing = np.linalg.norm(lps, axis=0)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection([float(v) for v in (lps / spacing).ravel()])
    image.SetOrigin([float(v) for v in affine[:3, 3] * [-1, -1, 1]])
    return image


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
        write_image(part, _image(values, affine))


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file so that nothing half-written ever bears its name."""
    write_text(path, json.dumps(content, indent=1) + "\n")
