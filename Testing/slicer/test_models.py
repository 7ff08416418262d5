"""Models as the panel lists them, and whether it agrees with the engine."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctscreener import model as engine
from ctscreener.settings import from_json
from ScreenerSlicerLib.preflight import models
from ScreenerSlicerLib.preflight.models import (
    BUNDLED,
    find_models,
    read_model,
    shortened,
    user_folder,
)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A copy of the bundled model."""
    return Path(shutil.copytree(BUNDLED / "preview", tmp_path / "mine"))


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "model.json"
    description = json.loads(file.read_text())
    edit(description)
    file.write_text(json.dumps(description))


def test_the_engine_and_the_panel_know_the_same_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert (models.FORMAT, models.FORMAT_VERSION) == (engine.FORMAT, engine.FORMAT_VERSION)
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
    settings = from_json(engine.ModelSettings, description["settings"])
    assert model.problem == ""
    assert model.sha256 == description["sha256"]
    assert model.tiling is not None
    assert model.tiling.tile == settings.tile
    assert model.tiling.spacing == settings.preprocess.spacing
    assert model.tiling.multiple == settings.pool
    assert model.damage() == ""
    assert "preview" in model.label()
    assert model.sha256[:12] not in model.label()
    assert "MB" in model.identity()
    assert model.sha256[:12] in model.identity()
    assert "Research use only" in model.card_text()
    assert len(model.card_text()) < len(model.card)


def test_models_are_found_once_and_usable_ones_first(mine: Path, tmp_path: Path) -> None:
    environment = {"CTSCREENER_MODELS": str(tmp_path)}
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.json").write_text("{")
    found = find_models([mine, tmp_path / "elsewhere"], environment)
    bundled = sorted(file.parent.name for file in BUNDLED.glob("*/model.json"))
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
