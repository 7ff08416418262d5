"""A model is a folder: `model.json`, `weights.safetensors`, `CARD.md`, and nothing else.

The engine rebuilds preprocessing, networks, standardization, density and calibration from these
alone. No pickle: the weights are plain tensors, and their SHA-256 stands in the JSON.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import torch
from safetensors.torch import save
from torch import Tensor

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.model_limits import check_depth, check_limits
from ctscreener.scorers import Distilled, ModelSettings, Networks, Scorer, new_scorer
from ctscreener.settings import from_json, read_json, to_json, write_json
from ctscreener.weights import check_tensors, read_weights

__all__ = [
    "Distilled",
    "Model",
    "ModelSettings",
    "Networks",
    "Scorer",
    "find_model",
    "half",
    "load_model",
    "read_description",
    "save_model",
]

FORMAT = "ctscreener-model"
FORMAT_VERSION = 1
LITTLE_OVERLAP = 0.25
"""Below it, tiles that do not overlap are more alike than those that overlap by a half."""
BUNDLED = Path(__file__).parent.parent / "Resources" / "Models"


@dataclass(frozen=True)
class Model:
    """A model that is ready to screen.

    Arguments:
        name: What the user called it.
        networks: What scores tiles, in evaluation mode.
        calibration: From nll to rarity.
        provenance: Data, steps, code version, measured results: plain JSON.
        card: The model card, Markdown.
        sha256: Hash of the weights.
        calibration_fast: The same where tiles hardly overlap: fewer scores are averaged then, and
            more lie far out. Without it, rarities of a fast screening promise too much.
    """

    name: str
    networks: Scorer
    calibration: Calibration
    provenance: dict[str, Any]
    card: str
    sha256: str
    calibration_fast: Calibration | None = None

    @property
    def settings(self) -> ModelSettings:
        """What the networks were built from."""
        return self.networks.settings

    def scale(self, overlap: float) -> Calibration:
        """From nll to rarity, for tiles that overlap by a share of their size."""
        if self.calibration_fast and overlap < LITTLE_OVERLAP:
            return self.calibration_fast
        return self.calibration


def find_model(name: str) -> Path:
    """The folder of a model: a path, a bundled name, or a name in the user's data folder.

    Raises:
        InputError: `model.missing`, with the names that exist.
    """
    places = [BUNDLED, user_models()]
    for folder in [Path(name), *(place / name for place in places)]:
        if (folder / "model.json").is_file():
            return folder
    if Path(name).is_dir():
        raise InputError(
            "model.missing",
            f"Expected a model folder with model.json, found none in {name}.",
            "Choose a folder written by `training/run.py export`.",
        )
    known = sorted(p.parent.name for place in places for p in place.glob("*/model.json"))
    raise InputError(
        "model.missing",
        f"No model or folder is called {name}; known models: {', '.join(known) or 'none'}.",
        "Give one of these names or the path of a model folder.",
    )


def user_models() -> Path:
    """Where the user keeps models: `CTSCREENER_MODELS`, else the platform's data folder."""
    set_by_user = os.environ.get("CTSCREENER_MODELS")
    return Path(set_by_user or platformdirs.user_data_path("ctscreener") / "models")


def load_model(name: str) -> Model:
    """Load and check a model.

    Arguments:
        name: A name or a folder, see `find_model`.

    Raises:
        InputError: `model.missing`, `model.version`, `model.hash`, `model.tensors` or
            `model.unreadable`.
    """
    folder = find_model(name)
    description = read_description(folder)
    settings = read_settings(description, folder)
    weights = read_weights(folder, description["sha256"])
    # Without memory for its tensors first: settings may ask for what the weights have not.
    with torch.device("meta"):
        check_tensors(build(settings, folder).state_dict(), weights, folder)
    networks = build(settings, folder)
    networks.load_state_dict(weights)
    networks.eval().requires_grad_(False)
    fast = description.get("calibration_fast")
    return Model(
        name=folder.resolve().name,
        networks=networks,
        calibration=Calibration.from_json(description["calibration"]),
        provenance=description["provenance"],
        card=read_card(folder),
        sha256=description["sha256"],
        calibration_fast=Calibration.from_json(fast) if fast else None,
    )


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


def read_settings(description: dict[str, Any], folder: Path) -> ModelSettings:
    """Read what the networks are built from, and check that it is within bounds."""
    try:
        check_limits(description["settings"])
        return from_json(ModelSettings, description["settings"])
    except InputError as error:
        raise damaged(folder, error.message) from error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        # Whatever stands where sizes should: the settings refuse it in many ways.
        raise damaged(folder, str(error)) from error


def build(settings: ModelSettings, folder: Path) -> Scorer:
    """Build the networks that `model.json` describes, without their weights."""
    try:
        return new_scorer(settings)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        # Sizes that do not fit each other: the layers refuse them in many ways.
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


def half(networks: Scorer) -> dict[str, Tensor]:
    """The tensors to store: the UNets in float16, what is less forgiving, such as the density, as is."""
    return {
        name: tensor.half().contiguous() if is_unet(name) else tensor.contiguous()
        for name, tensor in networks.state_dict().items()
    }


def is_unet(name: str) -> bool:
    """Whether a tensor belongs to the descriptor, the condition or the student network."""
    return name.startswith(("descriptor.", "condition.", "student.network."))


def packed(networks: Scorer) -> bytes:
    """The weights as they are stored: the same networks give the same bytes, and the same hash."""
    return save(half(networks))


def save_model(
    folder: Path,
    networks: Scorer,
    calibration: Calibration,
    provenance: dict[str, Any],
    card: str,
    calibration_fast: Calibration | None = None,
) -> None:
    """Write a model folder; `model.json`, by which it is found, comes last.

    Arguments:
        folder: Where to; made if missing.
        networks: What scores tiles; its UNets are stored as float16.
        calibration: From nll to rarity, fitted to the networks as they are stored.
        provenance: Plain JSON.
        card: Markdown.
        calibration_fast: The same for tiles that hardly overlap.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = packed(networks)
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "settings": to_json(networks.settings),
        "sha256": hashlib.sha256(content).hexdigest(),
        "calibration": calibration.to_json(),
        "calibration_fast": calibration_fast and calibration_fast.to_json(),
        "provenance": provenance,
    }
    for name, data in (("weights.safetensors", content), ("CARD.md", card.encode())):
        beside = folder / f"{name}.part"
        beside.write_bytes(data)
        os.replace(beside, folder / name)
    write_json(folder / "model.json", description)
