"""What `model.json` and the card of a model folder say, read and checked."""

from pathlib import Path
from typing import Any

from ctscreener.encoded import EncodedSettings
from ctscreener.errors import InputError
from ctscreener.model_limits import check_depth, check_limits
from ctscreener.scorers import ModelSettings
from ctscreener.settings import from_json, read_json

FORMAT = "ctscreener-model"
FORMAT_VERSION = 1
TILED, WHOLE = "tiled", "whole"
"""Kinds of models: networks that see tiles, or an encoder that sees the whole scan."""


def read_description(folder: Path) -> dict[str, Any]:
    """Read `model.json` and check format, version and parts."""
    try:
        description = read_json(folder / "model.json")
        check_depth(description)
    except InputError as error:
        raise damaged(folder, error.message) from error
    except ValueError as error:
        raise damaged(folder, str(error)) from error
    if not isinstance(description, dict):
        raise damaged(folder, "it is no JSON object")
    found = description.get("format"), description.get("format_version")
    if found != (FORMAT, FORMAT_VERSION):
        raise InputError(
            "model.version",
            f"Expected format {FORMAT} version {FORMAT_VERSION}, found {found[0]!s:.40} version "
            f"{found[1]!s:.40} in {folder / 'model.json'}.",
            "Update Screener, or export the model again with this version.",
        )
    parts = {"settings": dict, "sha256": str, "calibration": dict, "provenance": dict}
    for name, kind in parts.items():
        if not isinstance(description.get(name), kind):
            raise damaged(folder, f"it has no usable {name}")
    if not isinstance(description.get("calibration_fast"), dict | None):
        raise damaged(folder, "it has no usable calibration_fast")
    return description


def read_settings(description: dict[str, Any], folder: Path) -> ModelSettings | EncodedSettings:
    """Read what the networks are built from, and check that it is within bounds."""
    kind = description.get("kind", TILED)
    if kind not in (TILED, WHOLE):
        raise damaged(folder, f"it is of a kind {kind!r} that this version does not know")
    try:
        check_limits(description["settings"])
        if kind == WHOLE:
            return from_json(EncodedSettings, description["settings"])
        return from_json(ModelSettings, description["settings"])
    except InputError as error:
        raise damaged(folder, error.message) from error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        # Whatever stands where sizes should: the settings refuse it in many ways.
        raise damaged(folder, str(error)) from error


def read_card(folder: Path) -> str:
    """Read the card of a model; without one it can be used too."""
    card = folder / "CARD.md"
    if not card.is_file():
        return "This model has no card."
    try:
        return card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "model.unreadable",
            f"Expected a card of UTF-8 text in {card}: {error}.",
            "Copy or export the model again.",
        ) from error


def damaged(folder: Path, found: str) -> InputError:
    """The error of a `model.json` that cannot be used."""
    found = f"{found:.300}".rstrip(".")
    return InputError(
        "model.unreadable",
        f"Expected the description of a model in {folder / 'model.json'}, but {found}.",
        "Copy or export the model again.",
    )
