"""Brain MRI as a kind of input of its own: grey values without a unit, never taken for HU."""

import numpy as np

from ctscreener.ct_checks import check_grid
from ctscreener.errors import InputError
from ctscreener.nifti import read_nifti
from ctscreener.scan import Scan
from ctscreener.voxels import read_voxels
from training.datasets.example import Example, ReadScan


def read_mri(example: Example, read: ReadScan) -> Scan:
    """Read an MRI from NIfTI.

    Returns:
        Grey values in place of HU, float32.

    Raises:
        InputError: `scan.missing`, `scan.not_finite` or one of `scan.*`.
    """
    if not example.scan.is_file():
        raise InputError(
            "scan.missing",
            f"Expected an MRI at {example.scan}, found nothing.",
            "Download it again.",
        )
    try:
        stored = read_nifti(example.scan)
        check_grid(stored.affine)
        values = read_voxels(stored).astype(np.float32, copy=False)
    except OSError as failure:
        raise InputError(
            "scan.unreadable",
            f"Expected a file that can be read, found {example.scan.name}: {failure.strerror}.",
            "Check its permissions, or copy the file again.",
        ) from failure
    if not np.isfinite(values).all():
        raise InputError(
            "scan.not_finite",
            f"Expected a number in every voxel of {example.scan.name}, found NaN or infinity.",
            "Download it again.",
        )
    return Scan(values, stored.affine)
