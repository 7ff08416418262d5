"""A small public encoder: the network as its makers write it, with BatchNorm, and its weights."""

import hashlib
import io
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctscreener.encoder import EncoderSettings


class Block(nn.Module):
    """A bottleneck as torchvision names its parts, in 3D."""

    def __init__(self, inputs: int, width: int, stride: int, changed: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(4 * width)
        self.downsample: nn.Module | None = None
        if changed:
            conv = nn.Conv3d(inputs, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm3d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """As in torchvision."""
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        return F.relu(self.bn3(self.conv3(h)) + (self.downsample(x) if self.downsample else x))


class PublicResNet(nn.Module):
    """An inflated ResNet that sees an image three times over, along (up, right, front)."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        inputs = settings.widths[0]
        self.conv1 = nn.Conv3d(3, inputs, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(inputs)
        self.count = len(settings.widths)
        for stage, (width, blocks) in enumerate(
            zip(settings.widths, settings.bottlenecks, strict=True)
        ):
            made = []
            for block in range(blocks):
                made.append(Block(inputs, width, 2 if stage and not block else 1, block == 0))
                inputs = 4 * width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The map of each stage of an image `(B, 1, D, H, W)`."""
        h = F.relu(self.bn1(self.conv1(x.expand(-1, 3, -1, -1, -1))))
        h, maps = F.max_pool3d(h, 3, 2, 1), []
        for stage in range(self.count):
            h = self.get_submodule(f"layer{stage + 1}")(h)
            maps.append(h)
        return maps


def public_network(settings: EncoderSettings, seed: int = 0) -> PublicResNet:
    """One with random weights and random statistics of its BatchNorms."""
    made, numbers = PublicResNet(settings), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if tensor.dtype != torch.float32:
                continue
            drawn = torch.randn(tensor.shape, generator=numbers)
            if name.endswith("running_var"):
                tensor.copy_(0.3 + drawn.abs())
            else:
                tensor.copy_(drawn * (tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.5))
    return made.eval().requires_grad_(False)


def file_of(state: Any) -> tuple[bytes, str]:  # noqa: ANN401 - whatever torch can write
    """What torch writes of a state, and its SHA-256."""
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue(), hashlib.sha256(stream.getvalue()).hexdigest()
