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
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.scorer import Scorer
from ctscreener.scorers import Distilled, ModelSettings, Networks, new_scorer
from ctscreener.settings import from_json, read_json, to_json, write_json

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
    networks = build(description, folder)
    fill(networks, read_weights(folder, description["sha256"]), folder)
    networks.eval().requires_grad_(False)
    card = folder / "CARD.md"
    fast = description.get("calibration_fast")
    return Model(
        name=folder.resolve().name,
        networks=networks,
        calibration=Calibration.from_json(description["calibration"]),
        provenance=description["provenance"],
        card=card.read_text(encoding="utf-8") if card.is_file() else "This model has no card.",
        sha256=description["sha256"],
        calibration_fast=Calibration.from_json(fast) if fast else None,
    )


def read_description(folder: Path) -> dict[str, Any]:
    """Read `model.json` and check format, version and parts."""
    try:
        description = read_json(folder / "model.json")
    except InputError as error:
        raise damaged(folder, error.message) from error
    if not isinstance(description, dict):
        raise damaged(folder, "it is no JSON object")
    found = description.get("format"), description.get("format_version")
    if found != (FORMAT, FORMAT_VERSION):
        raise InputError(
            "model.version",
            f"Expected format {FORMAT} version {FORMAT_VERSION}, found {found[0]} version "
            f"{found[1]} in {folder / 'model.json'}.",
            "Update Screener, or export the model again with this version.",
        )
    parts = {"settings": dict, "sha256": str, "calibration": dict, "provenance": dict}
    for name, kind in parts.items():
        if not isinstance(description.get(name), kind):
            raise damaged(folder, f"it has no usable {name}")
    if not isinstance(description.get("calibration_fast"), dict | None):
        raise damaged(folder, "it has no usable calibration_fast")
    return description


def build(description: dict[str, Any], folder: Path) -> Scorer:
    """Build the networks that `model.json` describes, without their weights."""
    try:
        return new_scorer(from_json(ModelSettings, description["settings"]))
    except InputError as error:
        raise damaged(folder, error.message) from error
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        # Whatever stands where sizes should: the layers refuse it in many ways.
        raise damaged(folder, str(error)) from error


def damaged(folder: Path, found: str) -> InputError:
    """The error of a `model.json` that cannot be used."""
    return InputError(
        "model.unreadable",
        f"Expected the description of a model in {folder / 'model.json'}, but {found}.",
        "Copy or export the model again.",
    )


def read_weights(folder: Path, sha256: str) -> dict[str, Tensor]:
    """Read `weights.safetensors` and check its hash."""
    path = folder / "weights.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            "model.unreadable",
            f"Expected the weights at {path}: {error.strerror}.",
            "Copy the model again.",
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            "model.hash",
            f"Expected weights with SHA-256 {sha256[:12]}..., found {found[:12]}... in {path}.",
            "The file is damaged or was replaced: copy the model again.",
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(
            "model.unreadable",
            f"Expected safetensors in {path}: {error}.",
            "Copy or export the model again.",
        ) from error


def fill(networks: Scorer, weights: dict[str, Tensor], folder: Path) -> None:
    """Put the weights into the networks; every tensor must be there with the right shape."""
    expected = networks.state_dict()
    wrong = [f"lacks {name}" for name in expected if name not in weights]
    wrong += [f"has an unknown tensor {name}" for name in weights if name not in expected]
    wrong += [
        f"has {name} of shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more faults" if wrong[1:] else ""
        raise InputError(
            "model.tensors",
            f"{folder / 'weights.safetensors'} {wrong[0]}{more}.",
            "Copy or export the model again.",
        )
    networks.load_state_dict({name: tensor.float() for name, tensor in weights.items()})


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
