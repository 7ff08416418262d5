"""What a model's folder tells of how it was made, and nothing of the machine it was made on."""

from pathlib import Path, PurePath
from typing import Any

from ctscreener.errors import InputError
from ctscreener.settings import from_json, read_json
from training.density import DensityStageSettings
from training.distil import teacher_of


def trace_three(run: Path) -> dict[str, Any]:
    """Say how three networks were trained; the run is that of the density."""
    density = from_json(DensityStageSettings, read_json(run / "settings.json"))
    runs = {
        "descriptor": density.descriptor,
        "condition": density.condition,
        "ape": density.ape,
        "density": run,
    }
    return {"stages": {stage: trace_stage(own) for stage, own in runs.items() if own}}


def trace_distilled(run: Path) -> dict[str, Any]:
    """Say how a student was trained, who taught it and how that was, and how well they agree."""
    teacher, agreement = teacher_of(run), run / "held_out.json"
    return {
        "stages": {**teacher["provenance"].get("stages", {}), "distil": trace_stage(run)},
        "teacher": {"name": teacher["name"], "sha256": teacher["sha256"]},
        "agreement": read_json(agreement) if agreement.is_file() else None,
    }


def trace_stage(run: Path) -> dict[str, Any]:
    """Settings, steps, hours and scans of a run."""
    return {
        "settings": without_paths(read_json(run / "settings.json")),
        "result": read_json(run / "result.json"),
        "data": read_json(run / "data.json")["scans"],
    }


def measured(path: Path) -> dict[str, Any]:
    """What the card takes from the results of an evaluation.

    Raises:
        InputError: `json.unreadable` or `export.results`.
    """
    results, parts = read_json(path), ("model", "parameters", "table", "rarities")
    if not isinstance(results, dict) or any(part not in results for part in parts):
        raise InputError(
            "export.results",
            f"Expected the parts {', '.join(parts)} in {path}, found others.",
            "Run the stage `evaluate` again with this version.",
        )
    return {part: results[part] for part in parts}


def without_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings less the folders of the machine that they were used on; of others the name is left.

    Example:
        >>> without_paths({"run": "runs/a", "draw": {"inserted": ["/home/me/nodules"]}, "seed": 1})
        {'draw': {'inserted': ['nodules']}, 'seed': 1}
    """
    folders = {"store", "run", "descriptor", "condition", "ape", "model", "encoder", "rows_at"}
    return {name: placeless(value) for name, value in settings.items() if name not in folders}


def placeless(value: Any) -> Any:  # noqa: ANN401 - anything JSON can hold
    """The same with the name in place of every absolute path, however deep."""
    if isinstance(value, dict):
        return {name: placeless(part) for name, part in value.items()}
    if isinstance(value, list):
        return [placeless(part) for part in value]
    if isinstance(value, str) and PurePath(value).is_absolute():
        return PurePath(value).name
    return value
