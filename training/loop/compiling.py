"""What makes the same numbers faster: torch.compile, cuDNN's choice, matrices in TF32."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from ctscreener.flow import Coupling
from ctscreener.networks import UNet
from training.losses import Expander, Projector


def compile_parts(objective: nn.Module) -> None:
    """Let torch.compile make networks and heads faster, in place.

    Losses stay as they are: they talk to other processes and compute pieces again. Names and values
    of weights do not change, so that checkpoints fit with and without.

    Arguments:
        objective: What is trained.
    """
    for part in objective.modules():
        if isinstance(part, UNet):
            compiled = torch.compile(part.features, dynamic=False)
            part.features = compiled  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(part, Expander | Projector | Coupling):
            part.compile(dynamic=False)


@contextlib.contextmanager
def products(device: torch.device, tf32: bool) -> Iterator[None]:
    """Let a graphics card multiply float32 matrices in TF32, for as long as it lasts.

    Crops of a training are all of one size, so cuDNN tries its ways to convolve once and takes the
    fastest.

    Arguments:
        device: Where; processors are left as they are.
        tf32: Whether it may.
    """
    before, tried = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.benchmark = tried
