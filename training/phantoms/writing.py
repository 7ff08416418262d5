"""Volumes and records on disk; nothing half-written ever bears a final name."""

import json
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def _image(values: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Wrap an array for writing; the files count millimetres in LPS."""
    image = sitk.GetImageFromArray(values)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, [2, 1, 0]]
    spacing = np.linalg.norm(lps, axis=0)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection([float(v) for v in (lps / spacing).ravel()])
    image.SetOrigin([float(v) for v in affine[:3, 3] * [-1, -1, 1]])
    return image


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write a volume so that nothing half-written ever bears its name.

    Arguments:
        path: File to write; its ending chooses the format.
        values: `(D, H, W)`, of the type that is to be stored.
        affine: Voxel to RAS mm, `(4, 4)`.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    sitk.WriteImage(_image(values, affine), str(beside), useCompression=True)
    os.replace(beside, path)


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file so that nothing half-written ever bears its name."""
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    beside.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(beside, path)
