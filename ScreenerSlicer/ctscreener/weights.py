"""The weights of a model: read, and compared with the networks that they are to fill."""

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ctscreener.errors import InputError
from ctscreener.header_text import quoted


def read_weights(folder: Path, sha256: str) -> dict[str, Tensor]:
    """Read the weights of a model.

    Arguments:
        folder: The folder of the model.
        sha256: What their hash has to be, hexadecimal.

    Returns:
        Every tensor by its name, float32.

    Raises:
        InputError: `model.unreadable` or `model.hash`.
    """
    path = folder / "weights.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            "model.unreadable",
            f"Expected the weights at {path}: {error.strerror}.",
            "Copy the model again.",
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            "model.hash",
            f"Expected weights with SHA-256 {sha256[:12]}..., found {found[:12]}... in {path}.",
            "The file is damaged or was replaced: copy the model again.",
        )
    try:
        return {name: tensor.float() for name, tensor in load(content).items()}
    except SafetensorError as error:
        raise InputError(
            "model.unreadable",
            f"Expected safetensors in {path}: {quoted(str(error), 200)}.",
            "Copy or export the model again.",
        ) from error


def check_tensors(expected: dict[str, Tensor], weights: dict[str, Tensor], folder: Path) -> None:
    """Make sure that every tensor is there, with the right shape and numbers, and no other.

    Arguments:
        expected: Tensors of the right names and shapes; what they hold does not matter.
        weights: The weights, as read.
        folder: The folder of the model.

    Raises:
        InputError: `model.tensors`, with the first that is wrong.
    """
    wrong = [f"lacks {name}" for name in expected if name not in weights]
    wrong += [f"has an unknown tensor {quoted(name)}" for name in weights if name not in expected]
    wrong += [
        f"has {name} of shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    wrong += [
        f"has NaN or infinity in {name}"
        for name, tensor in weights.items()
        if not np.isfinite(tensor.numpy()).all()
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more faults" if wrong[1:] else ""
        raise InputError(
            "model.tensors",
            f"{folder / 'weights.safetensors'} {wrong[0]}{more}.",
            "Copy or export the model again.",
        )
