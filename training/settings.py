"""The settings that a run folder belongs to."""

from pathlib import Path
from typing import Any

from ctscreener.errors import InputError
from ctscreener.settings import read_json, to_json, write_json


def claim_run(run: Path, settings: Any, free: tuple[str, ...]) -> None:  # noqa: ANN401
    """Write `settings.json` into a run folder, unless other settings already hold it.

    Arguments:
        run: The run folder.
        settings: The stage's settings.
        free: Names of settings, at any depth, that may differ when a run goes on.

    Raises:
        InputError: The folder holds a run with other settings.
    """
    path = run / "settings.json"
    if path.exists():
        old, new = _flat(read_json(path)), _flat(to_json(settings))
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


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401
    """Give nested settings as one dictionary of dotted names."""
    if not isinstance(data, dict):
        return {prefix: data}
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else key)
    return flat
