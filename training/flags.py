"""Flags of a stage: read by tyro where it is installed, and plainly where it is not.

A rented machine has torch and little else. There the same flags give the same settings; only the
help is shorter.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from ctscreener.errors import InputError
from ctscreener.settings import from_json, to_json

Settings = TypeVar("Settings")

FLAT: Any = "flat"
"""Marks settings whose flags have no prefix."""
POSITIONAL: Any = "positional"
"""Marks a setting that is given without a flag."""
HIDDEN: Any = "hidden"
"""Marks a setting that has no flag."""
try:
    import tyro
except ModuleNotFoundError:
    tyro = None
else:
    FLAT, POSITIONAL, HIDDEN = tyro.conf.arg(name=""), tyro.conf.Positional, tyro.conf.Suppress


def parse(
    kind: type[Settings], arguments: Sequence[str], default: Settings | None, stage: str
) -> Settings:
    """Read the flags of a stage.

    Arguments:
        kind: Its settings.
        arguments: The words after its name.
        default: What the flags fall back to, such as a preset; None for the settings' own defaults.
        stage: Its name, for the help.

    Raises:
        SystemExit: The flags cannot be used, or help was asked for.
    """
    if tyro is None:
        return plain(kind, arguments, default, stage)
    options: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(kind, args=arguments, prog=f"python training/run.py {stage}", **options)


@dataclass(frozen=True)
class Flag:
    """One setting that can be given.

    Arguments:
        name: Its flag without dashes, such as `crops.size`; `_` of names is `-`.
        path: Names of the fields that lead to it.
        hint: Its type.
        positional: Whether it stands without a flag.
    """

    name: str
    path: tuple[str, ...]
    hint: Any
    positional: bool


def flags_of(kind: Any, prefix: str = "", path: tuple[str, ...] = ()) -> Iterator[Flag]:  # noqa: ANN401
    """All flags of some settings and of those that they hold.

    Arguments:
        kind: A settings dataclass.
        prefix: What stands before their names.
        path: Fields that lead to these settings.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint, marks = hints[field.name], ()
        if typing.get_origin(hint) is typing.Annotated:
            hint, *marks = typing.get_args(hint)
        if HIDDEN in marks:
            continue
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(hint):
            inner = prefix if FLAT in marks else f"{prefix}{name}."
            yield from flags_of(hint, inner, (*path, field.name))
        else:
            yield Flag(prefix + name, (*path, field.name), hint, POSITIONAL in marks)


def plain(
    kind: type[Settings], arguments: Sequence[str], default: Settings | None, stage: str
) -> Settings:
    """Read flags without tyro; see `parse`.

    Raises:
        InputError: `flags.unknown`, `flags.value` or `flags.missing`.
        SystemExit: Help was asked for.
    """
    known = {flag.name: flag for flag in flags_of(kind)}
    data = defaults_of(kind, default)
    if "--help" in arguments or "-h" in arguments:
        print(f"usage: python training/run.py {stage} [flags]\n")
        print("\n".join(f"  --{name} {told(flag, data)}" for name, flag in known.items()))
        raise SystemExit(0)
    alone = [flag for flag in known.values() if flag.positional]
    words, given = list(arguments), set()
    while words:
        word = words.pop(0)
        values = []
        if word.startswith("--"):
            name, equals, value = word[2:].replace("_", "-").partition("=")
            # Only the name is spelt in two ways.
            value = word.partition("=")[2]
            flag, negated = named(name, known)
            values = [value] if equals else values
        else:
            flag, negated = alone[0] if alone else None, False
            values = [word]
        if flag is None:
            raise _unfit("flags.unknown", f"a flag of {stage}", word, stage)
        many = typing.get_origin(bare(flag.hint)) is tuple
        while words and not words[0].startswith("--") and _takes(flag, values, many):
            values.append(words.pop(0))
        put(data, flag.path, value_of(flag, values, negated, stage))
        given.add(flag.path)
    for flag in known.values():
        if flag.path[0] not in data:
            raise _unfit("flags.missing", f"{flag.name}", "none", stage)
    return from_json(kind, data)


def _takes(flag: Flag, values: list[str], many: bool) -> bool:
    """Whether a flag takes another word."""
    return many or (flag.hint is not bool and not values)


def named(name: str, known: dict[str, Flag]) -> tuple[Flag | None, bool]:
    """The flag of a name, and whether it is negated, as `--loop.no-compile` is."""
    if name in known:
        return known[name], False
    place, dot, last = name.rpartition(".")
    if last.startswith("no-"):
        flag = known.get(place + dot + last[3:])
        return (flag, True) if flag and flag.hint is bool else (None, False)
    return None, False


def bare(hint: Any) -> Any:  # noqa: ANN401 - any type of any field
    """A type without the None that may stand in its place."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint


def value_of(flag: Flag, values: list[str], negated: bool, stage: str) -> Any:  # noqa: ANN401
    """What JSON has of the words of a flag.

    Raises:
        InputError: `flags.value`.
    """
    if flag.hint is bool and not values:
        return not negated
    if values == ["None"] and bare(flag.hint) is not flag.hint:
        return None
    try:
        found, rest = _read(bare(flag.hint), values)
        if rest or negated:
            raise ValueError
    except (ValueError, IndexError):
        wanted = f"--{flag.name} of the type {flag.hint}"
        raise _unfit("flags.value", wanted, " ".join(values) or "nothing", stage) from None
    return found


def _read(hint: Any, words: list[str]) -> tuple[Any, list[str]]:  # noqa: ANN401
    """A value from the first words, and the words that are left."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        found: list[Any] = []
        kinds = list(inner)
        while words if Ellipsis in inner else kinds:
            value, words = _read(inner[0] if Ellipsis in inner else kinds.pop(0), words)
            found.append(value)
        return found, words
    word, rest = words[0], words[1:]
    if origin is Literal:
        if word not in inner:
            raise ValueError(word)
        return word, rest
    if hint in (int, float, str):
        return hint(word), rest
    if hint is Path:
        return word, rest
    if hint is bool and word in ("True", "False"):
        return word == "True", rest
    raise ValueError(word)


def defaults_of(kind: Any, default: Any) -> dict[str, Any]:  # noqa: ANN401 - any settings
    """Settings as JSON before any flag; what has no default is left out."""
    if default is not None:
        return to_json(default)
    data = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            data[field.name] = to_json(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            data[field.name] = to_json(field.default_factory())
    return data


def put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:  # noqa: ANN401
    """Set a value in nested dictionaries."""
    for name in path[:-1]:
        data = data[name]
    data[path[-1]] = value


def told(flag: Flag, data: dict[str, Any]) -> str:
    """What help says of a flag: what it is without being given."""
    value: Any = data
    for name in flag.path:
        value = value.get(name, "(required)") if isinstance(value, dict) else value
    return str(value)


def _unfit(code: str, wanted: str, found: str, stage: str) -> InputError:
    return InputError(
        code,
        f"Expected {wanted}, found {found}.",
        f"See python training/run.py {stage} --help.",
    )
