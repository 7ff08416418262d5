"""What makes the same numbers faster: torch.compile, and products of matrices in TF32."""

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
            compiled = torch.compile(part.features)
            part.features = compiled  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(part, Expander | Projector | Coupling):
            part.compile()


@contextlib.contextmanager
def products(device: torch.device, tf32: bool) -> Iterator[None]:
    """Let a graphics card multiply float32 matrices in TF32, for as long as it lasts.

    Arguments:
        device: Where; processors are left as they are.
        tf32: Whether it may.
    """
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
