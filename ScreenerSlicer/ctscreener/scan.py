"""A CT scan: voxels in Hounsfield units that never travel without their place in the patient.

Convention, everywhere in this project: arrays are `(D, H, W)`; an affine is 4x4 and maps a voxel
index `(d, h, w, 1)` to millimetres in RAS (right, anterior, superior are positive).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scan:
    """Voxels in HU with their affine.

    Arguments:
        hu: Hounsfield units, float32, `(D, H, W)`.
        affine: Voxel index `(d, h, w, 1)` to RAS mm, float64, `(4, 4)`.
    """

    hu: np.ndarray
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along `(D, H, W)`."""
        depth, height, width = self.hu.shape
        return depth, height, width

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring voxels along `(D, H, W)` in mm, `(3,)`."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)
