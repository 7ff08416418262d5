"""Settings as JSON and back, so that a folder says how it was made."""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from ctscreener.errors import InputError
from ctscreener.whole_file import make_folder, write_text

Settings = TypeVar("Settings")


def to_json(value: Any) -> Any:  # noqa: ANN401 - any field of any settings
    """Turn settings, and all that they hold, into what JSON can hold.

    Arguments:
        value: A settings dataclass, or a field of one: a path, a tuple, a plain value.

    Returns:
        Dictionaries, lists, strings, numbers, booleans and None.

    Example:
        >>> to_json((Path("a"), 1.5, None))
        ['a', 1.5, None]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Path):
        return value.as_posix()
    return value


def from_json(kind: type[Settings], data: dict[str, Any]) -> Settings:
    """Build settings from what `to_json` made of them.

    Arguments:
        kind: The settings dataclass.
        data: Its fields; one that is missing takes its default.

    Returns:
        The settings, with tuples, paths and nested settings in their own types.

    Raises:
        InputError: A field is unknown, or one without a default is missing.
    """
    if not isinstance(data, dict):
        raise InputError(
            "settings.unfit",
            f"Expected the settings of {kind.__name__} as a JSON object, found {data!r}.",
            "Compare the file with the settings that `--help` lists.",
        )
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    if unknown := sorted(set(data) - known):
        raise InputError(
            "settings.unknown",
            f"{kind.__name__} has no setting {', '.join(unknown)}.",
            "Remove it, or use the version that wrote it.",
        )
    try:
        return kind(**{name: _typed(hints[name], value) for name, value in data.items()})
    except TypeError as error:
        raise InputError(
            "settings.unfit",
            f"{kind.__name__} cannot be built: {error}.",
            "Compare the file with the settings that `--help` lists.",
        ) from error


def _typed(hint: Any, value: Any) -> Any:  # noqa: ANN401 - any type of any field
    """Give a JSON value the type that the field asks for."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if origin in (typing.Union, types.UnionType):
        return _typed(next(kind for kind in inner if kind is not type(None)), value)
    if origin is tuple:
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_typed(kind, item) for kind, item in zip(kinds, value, strict=True))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, value)
    return hint(value) if hint in (Path, float) else value


def write_json(path: Path, data: Any, private: bool = True) -> None:  # noqa: ANN401 - any JSON
    """Write a JSON file that is whole or not there.

    Arguments:
        path: The file; its folder is made.
        data: What `to_json` accepts.
        private: Let its owner alone read it.

    Raises:
        InputError: The disk is full, or the folder may not be written.
    """
    make_folder(path.parent, private)
    write_text(path, json.dumps(to_json(data), indent=2) + "\n", private)


def read_json(path: Path) -> Any:  # noqa: ANN401 - anything JSON can hold
    """Read a JSON file.

    Arguments:
        path: The file.

    Returns:
        Its content.

    Raises:
        InputError: It is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "json.unreadable",
            f"Expected a JSON file at {path}: {error}.",
            "Check the path, or make the file again.",
        ) from error
