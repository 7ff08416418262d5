"""What reverse distillation shares: a decoder from the coarsest features back to all of them.

Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", CVPR 2022.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.baselines.parts.slice_scorer import brought_up


def convolved(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution with batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class FeatureDecoder(nn.Module):
    """Maps of all stages from one that is coarser than they are.

    Arguments:
        inputs: Channels of that one.
        channels: Of each stage, finest first.
        width: Channels between, of the coarsest stage; half as many at each finer one.
    """

    def __init__(self, inputs: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.levels, self.heads = nn.ModuleList(), nn.ModuleList()
        for depth, out in enumerate(reversed(channels)):
            inner = max(16, width >> depth)
            self.levels.append(nn.Sequential(convolved(inputs, inner), convolved(inner, inner)))
            # No activation: the features of these stages have both signs.
            self.heads.append(nn.Conv2d(inner, out, 1))
            inputs = inner

    def forward(self, coarse: Tensor, sizes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Maps of the stages.

        Arguments:
            coarse: `(N, inputs, h, w)`.
            sizes: Height and width of each, finest first.

        Returns:
            `(N, C, H, W)` each, float32.
        """
        found, h = [], coarse
        for level, head, size in zip(self.levels, self.heads, reversed(sizes), strict=True):
            h = level(F.interpolate(h, list(size), mode="bilinear"))
            found.append(head(h).float())
        return found[::-1]


class Bottleneck(nn.Module):
    """One map of all stages, coarser than each: what the decoder has to do with.

    Arguments:
        channels: Of each stage, finest first.
        out: Channels of the map.
    """

    def __init__(self, channels: Sequence[int], out: int) -> None:
        super().__init__()
        # Each stage is halved to the size of the coarsest, then all of them once more.
        self.down = nn.ModuleList(
            nn.Sequential(*(convolved(width, width, 2) for _ in channels[n + 1 :]))
            for n, width in enumerate(channels)
        )
        self.join = nn.Sequential(convolved(sum(channels), out, 2), convolved(out, out))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The map, `(N, out, h, w)`, from maps `(N, C, H, W)`, finest first."""
        size = list(maps[-1].shape[2:])
        small = [down(level) for down, level in zip(self.down, maps, strict=True)]
        same = [F.interpolate(level, size, mode="bilinear") for level in small]
        return self.join(torch.cat(same, dim=1))


def whole_cosine(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """The cosine distance of maps as whole vectors, summed over stages, a scalar.

    Arguments:
        first: `(N, C, H, W)` each.
        second: The same shapes.
    """
    parts = [
        1 - F.cosine_similarity(a.flatten(1), b.flatten(1), dim=1).mean()
        for a, b in zip(first, second, strict=True)
    ]
    return torch.stack(parts).sum()


def cosine_maps(
    first: Sequence[Tensor], second: Sequence[Tensor], count: int, inside: Tensor
) -> Tensor:
    """The cosine distance at each place, averaged over stages, on the grid of the finest.

    Arguments:
        first: Features of slices, `(B * D, C, H, W)` each, finest first.
        second: The same shapes.
        count: B.
        inside: Where to score, bool, `(B, D, H, W)` of the finest.

    Returns:
        `(B, D, H, W)`, NaN elsewhere.
    """
    parts = [
        brought_up((1 - F.cosine_similarity(a, b)).unflatten(0, (count, -1)), inside)
        for a, b in zip(first, second, strict=True)
    ]
    return torch.stack(parts).mean(dim=0)
