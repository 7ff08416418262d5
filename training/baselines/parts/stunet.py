"""STU-Net: a UNet that was taught to name 104 organs and bones, up to its last features.

Huang et al., "STU-Net: Scalable and Transferable Medical Image Segmentation Models Empowered by
Large-Scale Supervised Pre-training", arXiv 2304.06716. Names of its parts are those of the public
weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from ctscreener.errors import InputError
from training.baselines.parts.efficientnet import UNREADABLE

WHERE = "github.com/uni-medical/STU-Net lists them (small_ep4k.model, base_ep4k.model, ...)"
"""Where the weights are told of."""


@dataclass(frozen=True)
class StuNetSettings:
    """The sizes of an STU-Net; the defaults are those of its small form."""

    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 256)
    """Channels of each level, finest first; twice as many in the base form, four times as many in
    the large one."""
    blocks: int = 1
    """Residual blocks of each level; 2 in the large form."""


class Residual(nn.Module):
    """Two 3x3x3 convolutions with instance norm, beside a straight way.

    Arguments:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first convolution.
        changes: Whether the straight way is a convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, changes: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, padding=1)
        self.norm1 = nn.InstanceNorm3d(outputs, affine=True)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1)
        self.norm2 = nn.InstanceNorm3d(outputs, affine=True)
        self.conv3 = nn.Conv3d(inputs, outputs, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to `(B, inputs, D, H, W)`."""
        h = F.leaky_relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return F.leaky_relu(h + (self.conv3(x) if self.conv3 else x))


class Up(nn.Module):
    """Brings a level to twice its resolution.

    Arguments:
        inputs: Channels in.
        outputs: Channels out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, outputs, 2 D, 2 H, 2 W)`."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class StuNet(nn.Module):
    """The network without its classes.

    Arguments:
        settings: The sizes.
    """

    def __init__(self, settings: StuNetSettings) -> None:
        super().__init__()
        widths, blocks = settings.channels, settings.blocks

        def level(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
            more = [Residual(outputs, outputs, changes=False) for _ in range(blocks - 1)]
            return nn.Sequential(Residual(inputs, outputs, stride), *more)

        self.conv_blocks_context = nn.ModuleList(
            level(inputs, width, 2 if n else 1)
            for n, (inputs, width) in enumerate(pairwise((1, *widths)))
        )
        upwards = widths[::-1]
        self.upsample_layers = nn.ModuleList(
            Up(coarse, fine) for coarse, fine in pairwise(upwards)
        )
        self.conv_blocks_localization = nn.ModuleList(
            level(2 * fine, fine) for fine in upwards[1:]
        )

    def forward(self, x: Tensor) -> Tensor:
        """What the classes are read off, at full resolution, `(B, channels, D, H, W)`.

        Arguments:
            x: Normalized HU, `(B, 1, D, H, W)`, sides multiples of two for each level but one.
        """
        kept = []
        for stage in self.conv_blocks_context:
            x = stage(x)
            kept.append(x)
        h = kept.pop()
        for up, stage in zip(self.upsample_layers, self.conv_blocks_localization, strict=True):
            h = stage(torch.cat([up(h), kept.pop()], dim=1))
        return h


def stunet_file(given: Path | None) -> Path:
    """The file of weights.

    Raises:
        InputError: `stunet.missing`.
    """
    if given is not None and given.is_file():
        return given
    raise InputError(
        "stunet.missing",
        f"Expected --features with weights of STU-Net, found {given or 'none'}.",
        f"Get them: {WHERE}.",
    )


def load_stunet(network: StuNet, path: Path) -> None:
    """Fill a network with public weights.

    Arguments:
        network: Of the sizes that they have.
        path: `.safetensors`, or torch's format, of which nothing but tensors is read; the weights
            themselves, or what nnU-Net keeps them in (`state_dict`, `network_weights`).

    Raises:
        InputError: `stunet.unfit`.
    """
    try:
        if path.suffix == ".safetensors":
            found: Mapping[str, Tensor] = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
        for key in ("state_dict", "network_weights"):
            found = found.get(key, found)  # pyright: ignore[reportAssignmentType]
        # What reads the classes is not needed.
        kept = {k: v for k, v in found.items() if not k.startswith("seg_outputs")}
        network.load_state_dict(kept)
    except UNREADABLE as error:
        instead = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            "stunet.unfit",
            f"Expected weights of STU-Net of these sizes in {path}: {instead}",
            "Use --sizes.channels and --sizes.blocks of that form. A file that holds more than "
            "tensors has to be saved again as its state_dict alone.",
        ) from error
