"""A checkpoint: everything a training needs to go on as if it had never stopped."""

import contextlib
import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ctscreener.errors import InputError
from ctscreener.whole_file import make_folder, whole_file

FORMAT_VERSION = "1"


@contextlib.contextmanager
def saved_whole(path: Path) -> Iterator[Path]:
    """Write a file of tensors that is whole or not there.

    Arguments:
        path: The file.

    Returns:
        Where to write it; it takes its place when the block ends without an error.

    Raises:
        InputError: The disk is full, or the folder may not be written.
    """
    with whole_file(path) as part:
        try:
            yield part
        except SafetensorError as error:
            # Safetensors tells of the system's error in words alone.
            full = any(f"{said} {errno.ENOSPC}" in str(error) for said in ("os error", "code:"))
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, str(error), str(path)) from error


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, torch.Tensor],
    state: dict[str, Any],
) -> None:
    """Write a checkpoint that is whole or not there: one file of tensors, with JSON in its head.

    Arguments:
        path: The file.
        model: What is trained.
        optimizer: Its optimizer.
        average: Running average of the model's weights, by name.
        state: What JSON can hold: the step, the seconds spent.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    # Tensors that share memory cannot be stored: every one is copied to the host.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    make_folder(path.parent)
    with saved_whole(path) as beside:
        save_file(tensors, beside, {"format_version": FORMAT_VERSION, "state": json.dumps(state)})


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, torch.Tensor],
) -> dict[str, Any]:
    """Bring model, optimizer, average and random state back to where a checkpoint was written.

    Arguments:
        path: The file.
        model: Changed in place.
        optimizer: Changed in place.
        average: Changed in place.

    Returns:
        The `state` that was saved.

    Raises:
        InputError: The file cannot be read or does not fit the model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            head = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if head.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"version {head.get('format_version')}, not {FORMAT_VERSION}")
        model.load_state_dict(_part(tensors, "model."))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            "checkpoint.unusable",
            f"Expected a checkpoint of this training in {path}: {error}.",
            "Use the settings it was made with, or remove the run folder to start again.",
        ) from error
    for name, value in _part(tensors, "average.").items():
        # Checkpoints from before hold averages of what is not handed on, too.
        if name in average:
            average[name].copy_(value)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, _, key = name.partition(".")
        # AdamW, where it is fused, pairs weights and moments by their places in memory: they need
        # the same order, such as channels_last.
        if value.shape == weights[int(index)].shape:
            value = torch.empty_like(weights[int(index)], dtype=value.dtype).copy_(value)
        moments.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return json.loads(head["state"])


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Give the tensors under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
