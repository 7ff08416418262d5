"""Maps of a few voxels and the scans that they belong to."""

import numpy as np

from ctscreener.findings import FindingSettings
from ctscreener.scan import Scan

ANY_SIZE = FindingSettings(min_volume_ml=0)

OBLIQUE = np.array([[0.2, 0.1, -0.7, 9], [0.3, -0.8, 0.1, -8], [2.4, 0.2, 0.1, 7], [0, 0, 0, 1]])


def scan_like(rarity: np.ndarray, affine: np.ndarray | None = None) -> Scan:
    """A scan whose HU are its flat indices, on a grid of 1 mm unless told otherwise."""
    hu = np.arange(rarity.size, dtype=np.float32).reshape(rarity.shape)
    return Scan(hu, np.eye(4) if affine is None else affine)
