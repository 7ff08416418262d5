"""What scores a scan, tile by tile or as a whole: the seam that models and rivals meet at."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ctscreener.preprocess import PreprocessSettings
from ctscreener.scan import Shape


@dataclass(frozen=True)
class Scored:
    """Scores of a prepared scan.

    Arguments:
        scores: Float32, on a grid of their own, `(d, h, w)`, NaN where not scored. Higher is
            rarer; of a density they are nll in nats.
        affine: Voxel of that grid to RAS mm, `(4, 4)`.
        tiles: Tiles that went through the networks.
        device: Where the networks ran in the end.
    """

    scores: np.ndarray
    affine: np.ndarray
    tiles: int
    device: torch.device


class ScorerSettings(Protocol):
    """What every kind of settings says of the scans that are scored."""

    @property
    def preprocess(self) -> PreprocessSettings:
        """What is done to a scan."""
        ...


class Tiled(ScorerSettings, Protocol):
    """What scoring by tiles needs to know of a scorer."""

    @property
    def tile(self) -> Shape:
        """Voxels that the networks see at a time, along (D, H, W)."""
        ...

    @property
    def pool(self) -> Shape:
        """Voxels pooled into one score, along (D, H, W)."""
        ...

    @property
    def voxel(self) -> np.ndarray:
        """Size in mm of the voxel that one score stands for, along (D, H, W), `(3,)`."""
        ...

    @property
    def smooth(self) -> float:
        """Standard deviation in mm of the Gaussian that the joined scores are blurred with."""
        ...

    def with_tile(self, tile: Shape) -> Self:
        """The same with another tile; raises ValueError where the networks cannot take it."""
        ...


AnySettings = TypeVar("AnySettings", bound=ScorerSettings)
TiledSettings = TypeVar("TiledSettings", bound=Tiled)


class Scorer(nn.Module, ABC, Generic[AnySettings]):
    """What gives scans their scores: a `TiledScorer` or a `WholeScorer`."""

    settings: AnySettings
    """How it was built."""

    def ready(self, device: torch.device) -> Self:
        """Move to a device, in the memory format that it runs best in, ready to score.

        Arguments:
            device: Where it will run.

        Returns:
            Itself.
        """
        # Weights in the order of the images: a tenth faster on processors.
        order = torch.channels_last_3d
        self.to(device, memory_format=order)  # pyright: ignore[reportCallIssue]
        return self.eval()


class TiledScorer(Scorer[TiledSettings], ABC):
    """What scores tiles, which overlap and are joined."""

    @abstractmethod
    def scores(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Anomaly scores of tiles.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.
            positions: Share of the body's box, `(B, 3, d, h, w)`, d = D / pool and so on.
            where: Which pooled voxels to score, bool, `(B, d, h, w)`.

        Returns:
            Scores, float32, `(B, d, h, w)`, NaN where not scored; of a density its nll in nats.
        """


Step = Callable[[int, int], None]
"""Called as `step(done, total)` while a whole scan is scored."""


class WholeScorer(Scorer[AnySettings], ABC):
    """What scores a whole scan at once: no tiles, no seams.

    Its memory is bounded by taking the scan in slabs, with as many slices beside each that the
    scores are those of the whole.
    """

    @abstractmethod
    def whole(
        self, image: np.ndarray, body: np.ndarray, device: torch.device, step: Step
    ) -> tuple[np.ndarray, Shape]:
        """Anomaly scores of a scan.

        Arguments:
            image: HU, int16, `(D, H, W)`.
            body: Voxels of the body, bool, `(D, H, W)`.
            device: Where to run.
            step: Told about every step.

        Returns:
            Scores, float32, `(ceil(D / stride), ...)`, higher is rarer, finite everywhere; and
            the stride: the score k lies at the voxel `k * stride`.
        """


AnyScorer = Scorer[Any]
"""A scorer of whatever settings."""
