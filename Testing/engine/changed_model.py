"""A saved model that tests change, and what then is said of it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ctscreener.errors import InputError
from ctscreener.model import load_model
from Testing.engine.small_model import SETTINGS

Description = dict[str, Any]


def refused(folder: Path, code: str) -> str:
    """The one line that says why a model cannot be used."""
    with pytest.raises(InputError) as error:
        load_model(str(folder))
    assert error.value.code == code
    assert "\n" not in str(error.value)
    assert error.value.action
    return str(error.value)


def describe(folder: Path, change: Callable[[Description], Any]) -> None:
    """Change `model.json`."""
    path = folder / "model.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps(change(description) or description))


def put_weights(folder: Path, content: bytes) -> None:
    """Replace the weights and make the hash fit them."""
    (folder / "weights.safetensors").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    describe(folder, lambda d: d.update(sha256=sha256))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change single tensors of a model and make the hash fit."""
    path = folder / "weights.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    put_weights(folder, path.read_bytes())


def nll(folder: Path) -> torch.Tensor:
    """What a model makes of two fixed tiles."""
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(2, 1, *SETTINGS.tile, generator=generator)
    positions = torch.rand(2, 3, 12, 12, 12, generator=generator)
    where = torch.rand(2, 12, 12, 12, generator=generator) < 0.5
    return load_model(str(folder)).networks.scores(x, positions, where)
