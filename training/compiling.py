"""torch.compile for the parts of an objective that are worth it."""

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
