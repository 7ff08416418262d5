"""What scores tiles: the three networks of a model, or a descriptor and a student of the others."""

from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import torch
from torch import Tensor

from ctscreener.conditions import Condition, ConditionSettings
from ctscreener.density import Density, DensitySettings
from ctscreener.networks import NetworkSettings, UNet
from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape
from ctscreener.scorer import TiledScorer
from ctscreener.student import Student, StudentSettings


@dataclass(frozen=True)
class ModelSettings:
    """Everything that is needed to rebuild the networks of a model."""

    preprocess: PreprocessSettings = PreprocessSettings()
    """What is done to a scan."""
    descriptor: NetworkSettings = NetworkSettings()
    """The network that says what a voxel looks like."""
    condition: ConditionSettings = ConditionSettings()
    """What says what is to be expected there."""
    density: DensitySettings = DensitySettings()
    """What says how rare that is."""
    tile: Shape = (64, 96, 96)
    """Voxels that the networks see at a time, along (D, H, W)."""
    smooth: float = 0.0
    """Standard deviation in mm of the Gaussian that the joined scores are blurred with."""
    student: StudentSettings | None = None
    """What scores in the place of condition and density in a distilled model, where these two are
    its teacher's and not there. None in a model of three networks."""

    def __post_init__(self) -> None:
        """Raise ValueError where tiles do not fit the networks or the pooling."""
        for step in self.steps:
            if any(side % unit or side < unit for side, unit in zip(self.tile, step, strict=True)):
                raise ValueError(f"the tile {self.tile} is no multiple of {step}")

    @property
    def steps(self) -> list[Shape]:
        """What the sides of a tile are multiples of."""
        if self.student:
            return [self.descriptor.stride, self.student.stride(self.pool)]
        networks = [self.descriptor, *self.condition.networks]
        return [self.pool, *(network.stride for network in networks)]

    @property
    def pool(self) -> Shape:
        """Voxels pooled into one score, along (D, H, W)."""
        return self.preprocess.multiple

    @property
    def voxel(self) -> np.ndarray:
        """Size in mm of the voxel that one score stands for, along (D, H, W), `(3,)`."""
        return np.multiply(self.preprocess.spacing, self.pool)

    def with_tile(self, tile: Shape) -> Self:
        """The same with another tile; raises ValueError where the networks cannot take it."""
        return replace(self, tile=tile)


@final
class Networks(TiledScorer[ModelSettings]):
    """The three networks of a model.

    Arguments:
        settings: Their sizes.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.descriptor = UNet(settings.descriptor)
        self.condition = Condition(settings.condition)
        # The seed does not matter: weights from a file or from training replace what it draws.
        generator = torch.Generator().manual_seed(0)
        self.density = Density(
            settings.descriptor.out,
            settings.condition.channels(settings.descriptor.out),
            settings.density,
            generator,
        )

    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """How unlikely the descriptors are, given their conditions."""
        y = self.descriptor.pooled(x, self.settings.pool)
        c = self.condition.pooled(x, y, positions, where, self.settings.pool)
        return self.density(y, c, where)


@final
class Distilled(TiledScorer[ModelSettings]):
    """The descriptor of a distilled model, and the student that reads scores off it.

    Arguments:
        settings: Their sizes, in `descriptor` and `student`.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        if settings.student is None:
            raise ValueError("A distilled model has a student: expected its settings, found none.")
        self.settings = settings
        self.descriptor = UNet(settings.descriptor)
        self.student = Student(settings.student, settings.descriptor.out)

    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """What the student thinks that its teacher would say."""
        y = self.descriptor.pooled(x, self.settings.pool)
        return self.student.nll(y, positions, where)


def new_scorer(settings: ModelSettings) -> Networks | Distilled:
    """The networks that the settings ask for, without weights of any worth."""
    return Distilled(settings) if settings.student else Networks(settings)
