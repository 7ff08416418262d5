"""Models as the panel lists them, and whether it agrees with the engine."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ctscreener import model as engine
from ctscreener import public_encoder
from ctscreener.calibration import Calibration
from ctscreener.density import DensitySettings
from ctscreener.encoded import Elsewhere, Encoded, EncodedSettings
from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.heads import GaussianSettings, HeadSettings, Source
from ctscreener.model_description import FORMAT, FORMAT_VERSION
from ctscreener.networks import NetworkSettings
from ScreenerSlicerLib.preflight import models
from ScreenerSlicerLib.preflight.models import (
    BUNDLED,
    ModelFolder,
    Tiling,
    Whole,
    encoder_work,
    find_models,
    read_model,
    shortened,
    user_folder,
)

SCALE = Calibration((0.0, 2.0), (1.0, 3.0), tail_nll=0.5, voxels=10_000)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A model of tiles, as the engine writes it."""
    settings = engine.ModelSettings(
        descriptor=NetworkSettings(channels=(8,), out=4), density=DensitySettings(head="gaussian")
    )
    provenance = {"data": []}
    engine.save_model(tmp_path / "mine", engine.Networks(settings), SCALE, provenance, "# Mine\n")
    return tmp_path / "mine"


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "model.json"
    description = json.loads(file.read_text())
    edit(description)
    file.write_text(json.dumps(description))


def test_the_engine_and_the_panel_know_the_same_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert (models.FORMAT, models.FORMAT_VERSION) == (FORMAT, FORMAT_VERSION)
    assert engine.BUNDLED.resolve() == BUNDLED
    assert user_folder(os.environ) == engine.user_models()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("CTSCREENER_MODELS", raising=False)
    assert user_folder(os.environ) == engine.user_models()
    monkeypatch.setenv("CTSCREENER_MODELS", str(tmp_path / "shared"))
    assert user_folder(os.environ) == engine.user_models() == tmp_path / "shared"


def test_the_bundled_model_is_described_as_the_engine_reads_it() -> None:
    model = read_model(BUNDLED / "preview")
    description = engine.read_description(model.folder)
    settings = engine.read_settings(description, model.folder)
    assert model.problem == ""
    assert model.sha256 == description["sha256"]
    assert model.tiling is not None
    assert model.tiling.spacing == settings.preprocess.spacing
    assert model.one_speed == isinstance(settings, EncodedSettings)
    assert model.damage() == ""
    assert "preview" in model.label()
    assert model.sha256[:12] not in model.label()
    assert "MB" in model.identity()
    assert model.sha256[:12] in model.identity()
    assert "Research use only" in model.card_text()
    assert len(model.card_text()) < len(model.card)


def test_a_model_of_tiles_is_described_as_the_engine_reads_it(mine: Path) -> None:
    settings = engine.read_settings(engine.read_description(mine), mine)
    expected = Tiling(settings.preprocess.spacing, settings.tile, settings.pool)
    assert read_model(mine).tiling == expected


def test_models_are_found_once_and_usable_ones_first(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"CTSCREENER_MODELS": str(tmp_path)}
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.json").write_text("{")
    monkeypatch.setattr(models, "installed_version", lambda _name: "0.1.0")
    found = find_models([mine, tmp_path / "elsewhere"], environment)
    bundled = sorted(file.parent.name for file in BUNDLED.glob("*/model.json"))
    bundled.sort(key=lambda name: name != "preview")
    assert [model.name for model in found] == [*bundled, "mine", "broken", "elsewhere"]
    assert bundled[0] == "preview", "the first one is chosen where nobody has chosen"
    assert [bool(model.problem) for model in found[-3:]] == [False, True, True]
    assert "no model.json" in found[-1].label()


def distil(description: dict[str, Any]) -> None:
    """Make a description one of a distilled model."""
    description["settings"]["student"] = {}
    description["provenance"]["teacher"] = {"name": "preview", "sha256": description["sha256"]}


def test_a_distilled_model_says_in_the_list_that_it_is_fast_and_less_exact(mine: Path) -> None:
    assert read_model(mine).teacher == ""
    assert "fast" not in read_model(mine).label()
    change(mine, distil)
    model = read_model(mine)
    assert model.problem == ""
    assert model.label() == "mine (fast, less exact than preview)"
    change(mine, lambda d: d["provenance"].pop("teacher"))
    assert "damaged" in read_model(mine).problem


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda d: d.update(format_version=2), "another version"),
        (lambda d: d.update(format="other"), "another version"),
        (lambda d: d.pop("settings"), "damaged"),
        (lambda d: d["settings"].update(tile=[1, 2]), "damaged"),
        (lambda d: d["settings"].update(tile=7), "damaged"),
        (lambda d: d.pop("format"), "damaged"),
    ],
)
def test_a_model_that_cannot_be_used_says_why(
    mine: Path, edit: Callable[[dict[str, Any]], object], problem: str
) -> None:
    change(mine, edit)
    model = read_model(mine)
    assert problem in model.problem
    assert model.tiling is None
    assert "\n" not in model.label()


def whole(folder: Path, elsewhere: Elsewhere | None = None) -> ModelFolder:
    """A whole-volume model as the engine writes it, and as it is read here."""
    settings = EncodedSettings(
        encoder=EncoderSettings(widths=(2,), bottlenecks=(1,)),
        discriminator=HeadSettings(sources=(Source(0),), hidden=4),
        density=GaussianSettings(sources=(Source(0),), components=2),
        elsewhere=elsewhere,
    )
    engine.save_model(folder, Encoded(settings), SCALE, {}, "# Whole\n")
    return read_model(folder, {})


def test_a_model_that_sees_the_whole_scan_is_usable_and_has_one_speed(tmp_path: Path) -> None:
    model = whole(tmp_path / "mine")
    assert (model.problem, model.packages) == ("", ())
    assert isinstance(model.tiling, Whole)
    assert model.one_speed
    assert model.tiling.spacing == EncodedSettings().preprocess.spacing
    change(tmp_path / "mine", lambda d: d.update(kind="other"))
    assert "another version" in read_model(tmp_path / "mine").problem
    change(tmp_path / "mine", lambda d: d.update(kind="whole"))
    change(tmp_path / "mine", lambda d: d["settings"].pop("encoder"))
    assert "damaged" in read_model(tmp_path / "mine").problem


def test_the_work_of_an_encoder_is_what_its_convolutions_multiply() -> None:
    settings = EncoderSettings(widths=(4, 6), bottlenecks=(2, 3))
    encoder, counted = Encoder(settings), 0

    def count(module: torch.nn.Module, _inputs: object, out: torch.Tensor) -> None:
        nonlocal counted
        counted += out[0, 0].numel() * module.weight.numel()  # pyright: ignore

    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(count)
    encoder(torch.zeros(1, 1, 16, 32, 32))
    assert encoder_work([(4, 2), (6, 3)]) == pytest.approx(counted / (16 * 32 * 32))


def test_shifts_take_all_but_the_first_stage_again(tmp_path: Path) -> None:
    sizes = EncoderSettings(widths=(4, 6), bottlenecks=(2, 3))
    sources = (Source(0), Source(1), Source(0, half=True))
    works = {}
    for shifts in (1, 2, 4):
        settings = EncodedSettings(
            encoder=sizes,
            discriminator=HeadSettings(sources=sources, hidden=4),
            density=GaussianSettings(sources=(Source(1),), components=2),
            shifts=shifts,
        )
        folder = tmp_path / str(shifts)
        engine.save_model(folder, Encoded(settings), SCALE, {}, "# Whole\n")
        tiling = read_model(folder, {}).tiling
        assert isinstance(tiling, Whole)
        works[shifts] = tiling.work
    whole, first = encoder_work([(4, 2), (6, 3)]), encoder_work([(4, 2)])
    assert works[1] == pytest.approx(whole * 9 / 8)
    again = whole - first + whole / 8
    assert [works[2] - works[1], works[4] - works[2]] == pytest.approx([again, 2 * again])


def test_a_model_without_its_encoder_is_listed_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: dict[str, str] = {}
    monkeypatch.setattr(models, "installed_version", there.get)
    folder = tmp_path / "large"
    model = whole(folder, Elsewhere("ab" * 32, "elsewhere"))
    assert model.tiling is None
    assert "190 MB" in model.label()
    assert "Install packages" in model.problem
    assert model.packages == models.ENCODER_PACKAGES
    named = {models.ENCODER: str(tmp_path / "weights.bin")}
    assert "names no file" in read_model(folder, named).problem
    (tmp_path / "weights.bin").touch()
    assert read_model(folder, named).problem == ""
    there |= {one.split("==")[0]: "0.1.0" for one in models.ENCODER_PACKAGES}
    assert read_model(folder, {}).problem == ""


def test_the_panel_and_the_engine_look_for_the_same_weights() -> None:
    assert models.ENCODER == public_encoder.NAMED_BY
    names = [one.split("==")[0].replace("-", "_") for one in models.ENCODER_PACKAGES]
    assert tuple(names) == public_encoder.PACKAGES


def test_weights_that_are_missing_or_replaced_are_noticed(mine: Path) -> None:
    weights = mine / models.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert read_model(mine).problem == ""
    assert "damaged" in read_model(mine).damage()
    weights.unlink()
    assert "missing" in read_model(mine).problem
    assert "cannot be read" in read_model(mine).damage()


def test_a_card_keeps_its_words_and_loses_its_lists() -> None:
    card = "# A\n" + "- scan\n" * 100 + "\nWords.\n- one\n- two\n"
    short = shortened(card)
    assert short.count("- scan") == models.CARD_LINES
    assert "Words.\n- one\n- two" in short
    assert "88 more lines" in short
    assert shortened("# A\n\n- one\n").strip() == "# A\n\n- one"
