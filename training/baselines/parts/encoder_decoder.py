"""The 3D encoder-decoder that several rivals share, with or without skip connections."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolutions(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3x3x3 convolutions with batch norm and leaky ReLU; the first may halve the sides."""
    layers: list[nn.Module] = []
    for source, step in ((inputs, stride), (outputs, 1)):
        conv = nn.Conv3d(source, outputs, 3, step, padding=1, bias=False)
        layers += [conv, nn.BatchNorm3d(outputs), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers)


class EncoderDecoder(nn.Module):
    """A UNet of plain convolutions; without skips, all that comes out passes the coarsest level.

    Arguments:
        inputs: Channels in.
        outputs: Channels out.
        channels: Of each level, finest first; a level has half the resolution of the one before.
        skips: Whether the decoder sees the encoder's levels.
        heads: How many of the finest levels give an output; more than one for deep supervision.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: tuple[int, ...],
        skips: bool = True,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.skips = skips
        self.stem = convolutions(inputs, channels[0])
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(convolutions(fine, coarse, 2) for fine, coarse in pairs)
        self.up = nn.ModuleList(
            convolutions(coarse + fine if skips else coarse, fine) for fine, coarse in pairs
        )
        self.heads = nn.ModuleList(nn.Conv3d(width, outputs, 1) for width in channels[:heads])

    def forward(self, x: Tensor) -> Tensor:
        """The output of the finest level, `(B, outputs, D, H, W)`, float32."""
        return self.levels(x)[0]

    def levels(self, x: Tensor) -> list[Tensor]:
        """The output of every level that has a head, finest first, float32."""
        kept = [self.stem(x)]
        for down in self.down:
            kept.append(down(kept[-1]))
        features = [kept[-1]]
        for level in reversed(range(len(self.up))):
            h = F.interpolate(features[-1], scale_factor=2, mode="nearest")
            h = torch.cat([h, kept[level]], dim=1) if self.skips else h
            features.append(self.up[level](h))
        finest = features[::-1]
        return [
            head(f).float() for head, f in zip(self.heads, finest[: len(self.heads)], strict=True)
        ]
