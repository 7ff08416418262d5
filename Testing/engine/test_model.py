"""A model folder gives back what was saved, or says in one line why it cannot be used."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.model import find_model, load_model, save_model
from Testing.engine.changed_model import (
    change_weights,
    describe,
    put_weights,
    refused,
)
from Testing.engine.small_model import CALIBRATION, CARD, PROVENANCE, SETTINGS, networks, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sound model."""
    return save(tmp_path / "small")


def test_everything_comes_back(folder: Path) -> None:
    model = load_model(str(folder))
    assert model.name == "small"
    assert model.settings == SETTINGS
    assert model.calibration == CALIBRATION
    assert model.provenance == PROVENANCE
    assert model.card == CARD
    content = (folder / "weights.safetensors").read_bytes()
    assert model.sha256 == hashlib.sha256(content).hexdigest()
    assert not model.networks.training
    assert not any(p.requires_grad for p in model.networks.parameters())
    assert {p.dtype for p in model.networks.parameters()} == {torch.float32}
    written = {"model.json", "weights.safetensors", "CARD.md"}
    assert {path.name for path in folder.iterdir()} == written


FAST = Calibration.fit(np.random.default_rng(1).normal(9, 7, 20_000))


def test_a_fast_screening_has_its_own_scale_where_there_is_one(folder: Path) -> None:
    model = load_model(str(folder))
    assert model.scale(0.0) == model.scale(0.5) == CALIBRATION
    save_model(folder, networks(), CALIBRATION, PROVENANCE, CARD, FAST)
    model = load_model(str(folder))
    assert model.calibration == CALIBRATION
    assert [model.scale(overlap) for overlap in (0.0, 0.2, 0.25, 0.5, 0.9)] == [
        FAST,
        FAST,
        *[CALIBRATION] * 3,
    ]


@pytest.mark.parametrize("fast", [5, "x", [1], {"knots_nll": [2, 1]}])
def test_a_damaged_fast_scale_is_one_clear_error(folder: Path, fast: object) -> None:
    describe(folder, lambda found: found.update(calibration_fast=fast))
    with pytest.raises(InputError):
        load_model(str(folder))


def test_a_missing_tensor_is_named(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.__delitem__("descriptor.stem.weight"))
    assert "lacks descriptor.stem.weight" in refused(folder, "model.tensors")


def test_an_unknown_tensor_is_named(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update(more=torch.zeros(2)))
    assert "unknown tensor 'more'" in refused(folder, "model.tensors")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update({"density.y_mean": torch.zeros(7)}))
    assert "density.y_mean of shape (7,), expected (5,)" in refused(folder, "model.tensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(folder: Path, value: float) -> None:
    change_weights(folder, lambda weights: weights["density.y_mean"].fill_(value))
    assert "density.y_mean" in refused(folder, "model.tensors")


def test_one_changed_bit_is_found(folder: Path) -> None:
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    assert "SHA-256" in refused(folder, "model.hash")


def test_truncated_weights_are_found(folder: Path) -> None:
    put_weights(folder, (folder / "weights.safetensors").read_bytes()[:-100])
    refused(folder, "model.unreadable")


def test_missing_weights_are_found(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    assert "weights.safetensors" in refused(folder, "model.unreadable")


class Payload:
    """What a pickle would do when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        """Make a file."""
        return Path.touch, (self.path,)


def test_a_pickle_in_place_of_the_weights_is_never_opened(folder: Path, tmp_path: Path) -> None:
    put_weights(folder, pickle.dumps(Payload(tmp_path / "opened")))
    refused(folder, "model.unreadable")
    torch.save({"weight": Payload(tmp_path / "opened")}, tmp_path / "weights.pt")
    put_weights(folder, (tmp_path / "weights.pt").read_bytes())
    refused(folder, "model.unreadable")
    assert not (tmp_path / "opened").exists()


def test_a_name_is_found_among_the_users_models(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTSCREENER_MODELS", str(folder.parent))
    assert find_model("small") == folder
    assert load_model("small").name == "small"


def test_an_unknown_name_is_answered_with_the_known_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTSCREENER_MODELS", str(folder.parent))
    assert "small" in refused(Path("other"), "model.missing")
    (folder / "model.json").unlink()
    assert "model.json" in refused(folder, "model.missing")
