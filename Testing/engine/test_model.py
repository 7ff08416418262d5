"""A model folder gives back what was saved, or says in one line why it cannot be used."""

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.model import find_model, load_model, save_model
from Testing.engine.small_model import CALIBRATION, CARD, PROVENANCE, SETTINGS, networks, save

Description = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sound model."""
    return save(tmp_path / "small")


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


def test_saving_what_was_loaded_changes_no_bit_of_a_score(folder: Path) -> None:
    model = load_model(str(folder))
    again = folder.with_name("again")
    save_model(again, model.networks, model.calibration, model.provenance, model.card)
    assert load_model(str(again)).sha256 == model.sha256
    assert torch.equal(nll(folder).nan_to_num(), nll(again).nan_to_num())


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


@pytest.mark.parametrize("change", [{"format_version": 2}, {"format": "other"}])
def test_another_version_is_refused(folder: Path, change: Description) -> None:
    describe(folder, lambda d: d.update(change))
    message = refused(folder, "model.version")
    assert "version 1" in message
    assert str(next(iter(change.values()))) in message


@pytest.mark.parametrize("part", ["settings", "sha256", "calibration", "provenance"])
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    describe(folder, lambda d: d.__delitem__(part))
    assert part in refused(folder, "model.unreadable")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: [1],
        lambda d: d.update(settings=[]),
        lambda d: d.update(settings=None),
        lambda d: d.update(sha256=5),
        lambda d: d["settings"].update(tile=[24, 36]),
        lambda d: d["settings"].update(tile="abc"),
        lambda d: d["settings"].update(tile=[23, 36, 36]),
        lambda d: d["settings"]["descriptor"].update(channels=[]),
        lambda d: d["settings"]["descriptor"].update(channels="ab"),
        lambda d: d["settings"]["condition"]["learned"].update(inputs=1),
    ],
)
def test_a_damaged_description_is_one_clear_error(
    folder: Path, change: Callable[[Description], Any]
) -> None:
    describe(folder, change)
    refused(folder, "model.unreadable")


def test_a_description_that_is_no_json_is_one_clear_error(folder: Path) -> None:
    (folder / "model.json").write_text('{"format": ')
    refused(folder, "model.unreadable")


BEYOND = [
    lambda s: s["descriptor"].update(stem=[1, 2, 0]),
    lambda s: s["descriptor"].update(blocks=10**9),
    lambda s: s["descriptor"].update(blocks=1.5),
    lambda s: s["descriptor"].update(blocks=[1]),
    lambda s: s["descriptor"].update(channels=[8] * 100_000),
    lambda s: s["descriptor"].update(out=True),
    lambda s: s["density"]["flow"].update(blocks=10**9),
    lambda s: s["density"].update(head="none"),
    lambda s: s["density"].update(head=[]),
    lambda s: s["condition"].update(surround=[[1, [2]]]),
    lambda s: s["condition"].update(sincos=10**9),
    lambda s: s["preprocess"].update(clahe_tile=1e-30),
    lambda s: s["preprocess"].update(multiple=[0, 3, 3]),
    lambda s: s["preprocess"].update(spacing=[1e-9, 1, 1]),
    lambda s: s["preprocess"].update(window=[300, -1000]),
    lambda s: s["preprocess"].update(window=[]),
    lambda s: s.update(smooth=1e30),
    lambda s: s.update(smooth=float("nan")),
    lambda s: s.update(smooth=None),
    lambda s: s.update(tile=[10**9, 10**9, 10**9]),
]


@pytest.mark.parametrize("change", BEYOND, ids=map(str, range(len(BEYOND))))
def test_a_setting_beyond_all_bounds_is_refused_before_anything_is_built(
    folder: Path, change: Callable[[Description], Any]
) -> None:
    describe(folder, lambda d: change(d["settings"]))
    assert len(refused(folder, "model.unreadable")) < 600


def test_networks_that_the_weights_do_not_fill_take_no_memory(folder: Path) -> None:
    def enlarge(d: Description) -> None:
        d["settings"]["descriptor"].update(channels=[4096, 4096], blocks=64)

    describe(folder, enlarge)
    # 64 TB, if it were built.
    refused(folder, "model.tensors")


@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 900 + "]" * 900, "\xff"])
def test_a_description_nested_too_deeply_is_one_clear_error(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text, encoding="latin-1")
    refused(folder, "model.unreadable")
    sound = json.loads((save(folder.with_name("sound")) / "model.json").read_text())
    deep = json.dumps(sound | {"provenance": {"a": "HERE"}}).replace('"HERE"', "[" * 60 + "]" * 60)
    (folder / "model.json").write_text(deep)
    assert "nested" in refused(folder, "model.unreadable")


def test_a_card_that_is_no_text_is_one_clear_error(folder: Path) -> None:
    (folder / "CARD.md").write_bytes(b"# caf\xe9")
    assert "CARD.md" in refused(folder, "model.unreadable")


def test_an_unknown_setting_is_named(folder: Path) -> None:
    describe(folder, lambda d: d["settings"].update(colour="red"))
    with pytest.raises(InputError, match="colour"):
        load_model(str(folder))


def test_a_scale_that_is_none_is_refused(folder: Path) -> None:
    describe(folder, lambda d: d.update(calibration={}))
    refused(folder, "model.calibration")


def test_a_model_without_a_card_can_be_used(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    assert "no card" in load_model(str(folder)).card


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
