"""An oblique affine of a scan, drawn by chance."""

import numpy as np
from scipy.spatial.transform import Rotation


def random_affine(seed: int, left_handed: bool) -> np.ndarray:
    """Return an oblique affine with a spacing of a scan."""
    generator = np.random.default_rng(seed)
    directions = Rotation.random(random_state=seed).as_matrix()
    directions[:, 2] *= -1 if left_handed else 1
    affine = np.eye(4)
    affine[:3, :3] = directions * generator.uniform(0.5, 3, 3)
    affine[:3, 3] = generator.uniform(-300, 300, 3)
    return affine
