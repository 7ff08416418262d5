"""The folder of a whole-volume model: an encoder that lies elsewhere, and what is refused."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ctscreener.encoded import Elsewhere
from ctscreener.errors import InputError
from ctscreener.model import load_model, save_model
from ctscreener.public_encoder import convert
from Testing.engine.public_weights import file_of, public_network
from Testing.engine.small_encoded import SETTINGS, SIZES, small_encoded
from Testing.engine.small_model import CALIBRATION, CARD, PROVENANCE

FILE, SHA256 = file_of(public_network(SIZES).state_dict())
ELSEWHERE = replace(SETTINGS, elsewhere=Elsewhere(SHA256, "a public encoder"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The folder of a model whose encoder lies elsewhere; its weights lie beside it."""
    networks = small_encoded(ELSEWHERE)
    networks.encoder.load_state_dict(convert(FILE, SIZES))
    save_model(tmp_path / "named", networks, CALIBRATION, PROVENANCE, CARD)
    (tmp_path / "encoder.bin").write_bytes(FILE)
    return tmp_path / "named"


def test_a_model_names_weights_that_lie_elsewhere(elsewhere: Path) -> None:
    stored = load_file(elsewhere / "weights.safetensors")
    assert {name.split(".")[0] for name in stored} == {"discriminator", "density"}
    found = load_model(str(elsewhere), elsewhere.with_name("encoder.bin"))
    assert found.settings == ELSEWHERE
    for name, tensor in convert(FILE, SIZES).items():
        assert torch.equal(found.networks.state_dict()[f"encoder.{name}"], tensor.half().float())


def refused(folder: Path, encoder: Path | None, code: str) -> str:
    """The one line that says why a model cannot be used."""
    with pytest.raises(InputError) as error:
        load_model(str(folder), encoder)
    assert error.value.code == code
    assert error.value.action
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_elsewhere_that_are_missing_or_others_are_one_clear_error(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTSCREENER_ENCODER", str(elsewhere / "nowhere.bin"))
    assert "nowhere.bin" in refused(elsewhere, None, "encoder.missing")
    other = file_of(public_network(SIZES, 1).state_dict())[0]
    elsewhere.with_name("other.bin").write_bytes(other)
    told = refused(elsewhere, elsewhere.with_name("other.bin"), "encoder.hash")
    assert SHA256[:12] in told
    assert hashlib.sha256(other).hexdigest()[:12] in told


def test_weights_elsewhere_of_other_sizes_are_one_clear_error(elsewhere: Path) -> None:
    small = replace(SIZES, bottlenecks=(1, 1))
    path, description = (
        elsewhere / "model.json",
        json.loads((elsewhere / "model.json").read_text()),
    )
    content, sha256 = file_of(public_network(small).state_dict())
    elsewhere.with_name("small.bin").write_bytes(content)
    description["settings"]["elsewhere"]["sha256"] = sha256
    path.write_text(json.dumps(description))
    refused(elsewhere, elsewhere.with_name("small.bin"), "encoder.unreadable")


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": {"widths": [2], "blocks": [3]}},
        {"encoder": {"widths": [], "blocks": []}},
        {"discriminator": {"sources": [{"stage": 5}]}},
        {"discriminator": {"sources": []}},
        {"density": {"sources": []}},
        {"density": {"sources": [{"stage": 0}, {"stage": 1}]}},
        {"density_part": {"scale": 0}},
        {"density_part": {"scale": "x"}},
        {"discriminator_part": 5},
        {"elsewhere": {"sha256": "0"}},
    ],
)
def test_a_damaged_description_is_one_clear_error(
    elsewhere: Path, change: dict[str, object]
) -> None:
    path = elsewhere / "model.json"
    description = json.loads(path.read_text())
    description["settings"] |= change
    path.write_text(json.dumps(description))
    refused(elsewhere, elsewhere.with_name("encoder.bin"), "model.unreadable")


def test_a_kind_that_is_not_known_is_one_clear_error(elsewhere: Path) -> None:
    path = elsewhere / "model.json"
    path.write_text(path.read_text().replace('"whole"', '"holes"'))
    assert "'holes'" in refused(elsewhere, None, "model.unreadable")
