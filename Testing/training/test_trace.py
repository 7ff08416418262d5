"""A model's folder tells how it was made, and no path of the machine that made it."""

from pathlib import Path

import pytest

from ctscreener.errors import InputError
from ctscreener.settings import read_json, write_json
from training.trace import measured, placeless, trace_stage, without_paths

MODELS = Path(__file__).parents[2] / "ScreenerSlicer" / "Resources" / "Models"


def test_a_stage_is_told_without_the_folders_of_its_machine(tmp_path: Path) -> None:
    inserted = [str(tmp_path / "Jane Doe" / "nodules"), "runs/masses"]
    settings = {
        "store": "runs/store",
        "seed": 3,
        "draw": {"inserted": inserted, "rows": [1, None]},
    }
    write_json(tmp_path / "settings.json", settings)
    write_json(tmp_path / "result.json", {"step": 4})
    write_json(tmp_path / "data.json", {"scans": [{"name": "a"}]})
    assert trace_stage(tmp_path) == {
        "settings": {
            "seed": 3,
            "draw": {"inserted": ["nodules", "runs/masses"], "rows": [1, None]},
        },
        "result": {"step": 4},
        "data": [{"name": "a"}],
    }


def test_what_is_no_path_stays() -> None:
    told = {"patient": "(panc/.*)", "rate": 1e-3, "only": None, "many": [[1, 2], "a/b"]}
    assert placeless(told) == told
    assert without_paths(told | {"run": "runs/a"}) == told


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/model.json")), ids=lambda p: p.parent.name)
def test_no_bundled_model_names_a_folder_of_its_makers(path: Path) -> None:
    told = read_json(path)
    assert placeless(told) == told


@pytest.mark.parametrize("name", ["preview", "large"])
def test_the_card_of_a_bundled_model_has_its_name_and_the_notes_of_its_recipe(name: str) -> None:
    card = (MODELS / name / "CARD.md").read_text(encoding="utf-8")
    notes = MODELS.parents[2] / "training" / "recipes" / f"{name}_notes.md"
    assert card.startswith(f"# Model `{name}`\n")
    assert notes.read_text(encoding="utf-8").strip() in card


@pytest.mark.parametrize("results", [[], {"model": 1, "parameters": 2, "table": 3}])
def test_other_results_are_refused(tmp_path: Path, results: object) -> None:
    write_json(tmp_path / "results.json", results)
    with pytest.raises(InputError, match="Expected the parts model, parameters, table, rarities"):
        measured(tmp_path / "results.json")
