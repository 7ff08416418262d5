"""How a rival sees scans: what is done to them, and in which tiles."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape


@dataclass(frozen=True)
class Tiling:
    """What `ctscreener.screening.score` has to know of a rival (`ctscreener.scorer.Tiled`)."""

    preprocess: PreprocessSettings
    """What is done to a scan."""
    tile: Shape
    """Voxels that the rival sees at a time, along (D, H, W)."""
    pool: Shape = (1, 1, 1)
    """Voxels pooled into one score, along (D, H, W)."""
    smooth: float = 0.0
    """Standard deviation in mm of the Gaussian that the joined scores are blurred with."""
    multiple: Shape = (1, 1, 1)
    """What else the sides of a tile are multiples of."""

    def __post_init__(self) -> None:
        """Raise ValueError where tiles do not fit the rival."""
        for step in (self.pool, self.multiple):
            if any(side % unit or side < unit for side, unit in zip(self.tile, step, strict=True)):
                raise ValueError(f"the tile {self.tile} is no multiple of {step}")
        if any(m % unit for m, unit in zip(self.preprocess.multiple, self.pool, strict=True)):
            raise ValueError(f"scans are multiples of {self.preprocess.multiple}, not {self.pool}")

    @property
    def voxel(self) -> np.ndarray:
        """Size in mm of the voxel that one score stands for, along (D, H, W), `(3,)`."""
        return np.multiply(self.preprocess.spacing, self.pool)

    def with_tile(self, tile: Shape) -> Self:
        """The same in other tiles; ValueError where they do not fit."""
        return replace(self, tile=tile)
