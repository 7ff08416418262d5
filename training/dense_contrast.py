"""The objective that an encoder is tuned by, and the weights that one of our own begins with."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctscreener.encoder import Encoder
from ctscreener.networks import sampling_grid
from ctscreener.scan import Shape
from training.descriptor import ContrastSettings, compare, new_head


class DenseContrast(nn.Module):
    """An encoder with a head for each trained stage, and a loss that compares two views.

    Arguments:
        encoder: What is trained.
        frozen: Stages that stay as they are.
        settings: Heads and loss.
    """

    def __init__(self, encoder: Encoder, frozen: int, settings: ContrastSettings) -> None:
        super().__init__()
        self.settings, self.frozen = settings, frozen
        self.encoder = encoder.requires_grad_(True)
        for part in (encoder.stem, *encoder.stages)[: frozen + 1 if frozen else 0]:
            part.requires_grad_(False)
        # Two thirds of a step's time on processors.
        order = torch.channels_last_3d
        encoder.to(memory_format=order)  # pyright: ignore[reportCallIssue]
        self.heads = nn.ModuleList(
            new_head(channels, settings) for channels in encoder.settings.channels[frozen:]
        )

    def forward(self, images: Tensor, places: Tensor, alone: Tensor) -> dict[str, Tensor]:
        """Compare two views.

        Arguments:
            images: First views, then second ones, `(2m, 1, D, H, W)`.
            places: The same voxels in both, voxel coordinates, `(2m, n, 3)`.
            alone: 1 where heads alone learn, else 0.

        Returns:
            `loss`, the mean over the stages, and that of each, `stage1` and so on.
        """
        maps = self.encoder(images)[self.frozen :]
        strides = self.encoder.settings.strides[self.frozen :]
        losses = {}
        for number, (z, stride) in enumerate(zip(maps, strides, strict=True), self.frozen):
            described = at_places(z, places, stride)
            # A gradient of 0, not none: processes that train together all expect one.
            described = described + alone * (described.detach() - described)
            headed = self.heads[number - self.frozen](described)
            losses[f"stage{number + 1}"] = compare(headed, self.settings)["loss"]
        parts = {name: loss.detach() for name, loss in losses.items()}
        return {"loss": torch.stack(list(losses.values())).mean()} | parts


def at_places(z: Tensor, places: Tensor, stride: Shape) -> Tensor:
    """Interpolate a map of an encoder, whose voxel k lies at the voxel `k * stride` of the image.

    Arguments:
        z: The map, `(B, C, d, h, w)`.
        places: Voxel coordinates of the image, `(B, n, 3)`.
        stride: Voxels of the image for one of the map.

    Returns:
        `(B, n, C)`, float32; beyond the last voxel its value goes on.

    Example:
        >>> z = torch.tensor([1.0, 5.0])[None, None, :, None, None]
        >>> at_places(z, torch.tensor([[[1.0, 0, 0], [3, 0, 0]]]), (2, 4, 4)).flatten().tolist()
        [3.0, 5.0]
    """
    at = torch.stack([places[..., axis] / unit for axis, unit in enumerate(stride)], -1)
    grid = sampling_grid(at, z.shape[2:])
    found = functional.grid_sample(z.float(), grid, padding_mode="border", align_corners=False)
    return found[:, :, :, 0, 0].transpose(1, 2)


@torch.no_grad()
def draw_weights(encoder: Encoder) -> None:
    """Draw first weights with which a network without BatchNorm learns.

    Every bottleneck begins as its straight way, and its first layers are the smaller the more
    bottlenecks there are (Fixup: Zhang et al., arXiv 1901.09321).

    Arguments:
        encoder: Changed in place; torch's generator draws.
    """
    share = sum(encoder.settings.bottlenecks) ** -0.25
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias") or ".conv3." in name:
            parameter.zero_()
        else:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            parameter.mul_(share if ".conv" in name else 1.0)
