"""An ellipsoid of mm, fitted to an organ by what lies on either side of its surface."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ctscreener.scan import Box

DIRECTIONS = 120
INNER, OUTER = (0.5, 0.72, 0.9), (1.14, 1.3)
"""Relative radii at which an organ and what surrounds it are looked at."""
STEPS = np.array([12.0, 8.0, 8.0, 0.2, 0.2, 0.2, 0.35, 0.35, 0.35])
"""First steps of a fit: middle in mm, logarithms of the half axes, turn in radians."""


def _sphere() -> np.ndarray:
    """Directions spread evenly, `(DIRECTIONS, 3)`: a Fibonacci lattice."""
    n = np.arange(DIRECTIONS) + 0.5
    height, angle = 1 - 2 * n / DIRECTIONS, np.pi * (1 + 5**0.5) * n
    ring = np.sqrt(1 - height**2)
    return np.stack([height, ring * np.cos(angle), ring * np.sin(angle)], 1)


SPHERE = _sphere()
POINTS = np.concatenate([SPHERE * radius for radius in INNER + OUTER])
INSIDE = len(INNER) * DIRECTIONS
"""So many of the points lie inside."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid in the volume's frame, in mm along `(D, H, W)`.

    Arguments:
        values: Middle, logarithms of the half axes, turn as a rotation vector, `(9,)`.
    """

    values: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """Middle in mm, `(3,)`."""
        return self.values[:3]

    @property
    def axes(self) -> np.ndarray:
        """Half axes in mm, the one nearest to D first, `(3,)`."""
        return np.exp(self.values[3:6])

    def _turn(self) -> np.ndarray:
        return Rotation.from_rotvec(self.values[6:]).as_matrix()

    def sample(self, volumes: tuple[np.ndarray, ...], spacing: np.ndarray) -> list[np.ndarray]:
        """Values of each volume at `POINTS`, the inner ones first; its ends go on beyond it."""
        at = ((self.middle + (POINTS * self.axes) @ self._turn().T) / spacing).T
        return [ndimage.map_coordinates(one, at, order=1, mode="nearest") for one in volumes]

    def box(self, shape: tuple[int, ...], spacing: np.ndarray, room: float) -> Box:
        """The part of a volume of `shape` within some mm of a ball around it."""
        reach = self.axes.max() + room
        low = np.floor(np.maximum(self.middle - reach, 0) / spacing).astype(int)
        high = np.ceil((self.middle + reach) / spacing).astype(int) + 1
        d, h, w = (slice(a, min(b, n)) for a, b, n in zip(low, high, shape, strict=True))
        return d, h, w

    def mask(self, box: Box, spacing: np.ndarray, grown: float) -> np.ndarray:
        """Voxels of a box inside, with half axes longer by some mm, bool."""
        away = np.moveaxis(np.mgrid[box], 0, -1) * spacing - self.middle
        return np.asarray((((away @ self._turn()) / (self.axes + grown)) ** 2).sum(-1) <= 1)


def fitted(start: Ellipsoid, cost: Callable[[Ellipsoid], float], tries: int) -> Ellipsoid:
    """Improve an ellipsoid by the simplex of Nelder and Mead (1965).

    Arguments:
        start: Where to begin.
        cost: To be as low as possible.
        tries: Times it is computed at most.
    """
    simplex = start.values + np.vstack([np.zeros(9), np.diag(STEPS)])
    options = {"initial_simplex": simplex, "maxfev": tries, "xatol": 0.02, "fatol": 0.003}
    found = minimize(
        lambda values: cost(Ellipsoid(values)),
        start.values,
        method="Nelder-Mead",
        options=options,
    )
    return Ellipsoid(found.x)
