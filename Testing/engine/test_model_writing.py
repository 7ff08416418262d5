"""A model is stored so that no score moves, and whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ctscreener.errors import InputError
from ctscreener.model import load_model, save_model
from Testing.engine.changed_model import nll
from Testing.engine.small_model import CALIBRATION, CARD, PROVENANCE, SETTINGS, networks, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sound model."""
    return save(tmp_path / "small")


def test_saving_what_was_loaded_changes_no_bit_of_a_score(folder: Path) -> None:
    model = load_model(str(folder))
    again = folder.with_name("again")
    save_model(again, model.networks, model.calibration, model.provenance, model.card)
    assert load_model(str(again)).sha256 == model.sha256
    assert torch.equal(nll(folder).nan_to_num(), nll(again).nan_to_num())


def test_rounding_to_half_precision_hardly_moves_a_score(folder: Path) -> None:
    stored = nll(folder)
    made = networks().requires_grad_(False)
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(2, 1, *SETTINGS.tile, generator=generator)
    positions = torch.rand(2, 3, 12, 12, 12, generator=generator)
    where = torch.rand(2, 12, 12, 12, generator=generator) < 0.5
    exact = made.scores(x, positions, where)
    assert torch.equal(stored.isnan(), ~where)
    torch.testing.assert_close(stored, exact, atol=0.02, rtol=0.02, equal_nan=True)
    assert not torch.equal(stored.nan_to_num(), exact.nan_to_num())


def test_the_unets_are_stored_in_half_precision_and_the_density_in_full(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    kinds = {name.split(".")[0]: set() for name in weights}
    for name, tensor in weights.items():
        kinds[name.split(".")[0]].add(tensor.dtype)
    assert kinds == {
        "descriptor": {torch.float16},
        "condition": {torch.float16},
        "density": {torch.float32},
    }


def test_an_older_model_survives_a_save_that_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = nll(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="found it full"):
        save_model(folder, networks(), CALIBRATION, PROVENANCE, CARD)
    np.testing.assert_array_equal(nll(folder), before)
