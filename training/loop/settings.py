"""The stage and the settings that a run folder belongs to."""

import dataclasses
from pathlib import Path
from typing import Any

from ctscreener.errors import InputError
from ctscreener.settings import from_json, read_json, to_json, write_json
from ctscreener.version import VERSION
from ctscreener.whole_file import clear_tree
from training.loop import processes

FORMAT = "ctscreener-run"
FORMAT_VERSION = 1


def claim_run(
    run: Path,
    settings: Any,  # noqa: ANN401 - of any stage
    free: tuple[str, ...],
    stage: str = "",
    data: dict[str, Any] | None = None,
) -> None:
    """Write into a run folder what it is, unless it belongs to something else already.

    Of several processes the first one does so.

    Arguments:
        run: The run folder.
        settings: The stage's settings.
        free: Names of settings, at any depth, that may differ when a run goes on.
        stage: The stage; of a folder from before stages were written down, any is believed.
        data: Where the training data comes from, for `data.json`.

    Raises:
        InputError: The folder holds a run of another stage, version or settings.
    """
    if not processes.is_first():
        return
    clear_tree(run)
    if (run / "run.json").exists():
        _check_kind(run, read_json(run / "run.json"), stage)
    path = run / "settings.json"
    if path.exists():
        old, new = _flat(to_json(_settings_of(run, settings, stage))), _flat(to_json(settings))
        differing = [
            name
            for name in sorted(set(old) | set(new))
            if old.get(name) != new.get(name) and name.split(".")[-1] not in free
        ]
        if differing:
            name = differing[0]
            raise InputError(
                "run.other_settings",
                f"{run} holds a run with {name} = {old.get(name)}, not {new.get(name)}.",
                "Use the same settings to go on with it, or another --run folder.",
            )
    write_json(path, settings)
    kind = {"format": FORMAT, "format_version": FORMAT_VERSION, "stage": stage}
    write_json(run / "run.json", kind | {"version": VERSION})
    if data is not None:
        write_json(run / "data.json", data)


def _check_kind(run: Path, found: Any, stage: str) -> None:  # noqa: ANN401 - whatever JSON holds
    """Refuse a folder of another format, version or stage."""
    kind = found if isinstance(found, dict) else {}
    if (kind.get("format"), kind.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise InputError(
            "run.version",
            f"Expected {FORMAT} version {FORMAT_VERSION} in {run / 'run.json'}, found "
            f"{kind.get('format')} {kind.get('format_version')}.",
            "Use another --run folder, or the version that began this run.",
        )
    if kind.get("stage") != stage:
        raise InputError(
            "run.other_stage",
            f"Expected a run of the stage {stage} in {run}, found one of {kind.get('stage')}.",
            "Use another --run folder.",
        )


def _settings_of(run: Path, settings: Any, stage: str) -> Any:  # noqa: ANN401 - of any stage
    """The settings that a folder holds; those that it does not know have their defaults."""
    known = {field.name for field in dataclasses.fields(settings)}
    data = read_json(run / "settings.json")
    if not isinstance(data, dict) or set(data) - known:
        raise InputError(
            "run.other_stage",
            f"Expected a run of the stage {stage} in {run}, found settings of another one.",
            "Use another --run folder.",
        )
    return from_json(type(settings), data)


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401
    """Give nested settings as one dictionary of dotted names."""
    if not isinstance(data, dict):
        return {prefix: data}
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else key)
    return flat
