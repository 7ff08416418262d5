"""A model is a folder: `model.json`, `weights.safetensors`, `CARD.md`, and nothing else.

The engine rebuilds preprocessing, networks, standardization, density and calibration from these
alone. No pickle: the weights are plain tensors, and their SHA-256 stands in the JSON.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ctscreener.calibration import Calibration
from ctscreener.encoded import Encoded, EncodedSettings
from ctscreener.errors import InputError
from ctscreener.model_description import damaged, read_card, read_description, read_settings
from ctscreener.model_writing import ENCODER, half, save_model
from ctscreener.public_encoder import convert, find_weights
from ctscreener.scorer import AnyScorer, Scorer, WholeScorer
from ctscreener.scorers import Distilled, ModelSettings, Networks, new_scorer
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
    networks: AnyScorer
    calibration: Calibration
    provenance: dict[str, Any]
    card: str
    sha256: str
    calibration_fast: Calibration | None = None

    @property
    def settings(self) -> Any:  # noqa: ANN401 - of whichever kind of scorer it is
        """What the networks were built from."""
        return self.networks.settings

    @property
    def whole(self) -> bool:
        """Whether it sees a scan as a whole, so that there are no tiles to overlap."""
        return isinstance(self.networks, WholeScorer)

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
    for folder in [Path(name), *(place / name for place in (BUNDLED, user_models()))]:
        if (folder / "model.json").is_file():
            return folder
    if Path(name).is_dir():
        raise InputError(
            "model.missing",
            f"Expected a model folder with model.json, found none in {name}.",
            "Choose a folder written by `training/run.py export`.",
        )
    known = sorted(folder.name for folder in known_models())
    raise InputError(
        "model.missing",
        f"No model or folder is called {name}; known models: {', '.join(known) or 'none'}.",
        "Give one of these names or the path of a model folder.",
    )


def known_models() -> list[Path]:
    """The folders of all models that have a name: the bundled ones, then the user's."""
    places = (BUNDLED, user_models())
    return [found.parent for place in places for found in sorted(place.glob("*/model.json"))]


def user_models() -> Path:
    """Where the user keeps models: `CTSCREENER_MODELS`, else the platform's data folder."""
    if set_by_user := os.environ.get("CTSCREENER_MODELS"):
        return Path(set_by_user)
    import platformdirs

    return platformdirs.user_data_path("ctscreener") / "models"


def load_model(name: str | Path = "preview", encoder: Path | None = None) -> Model:
    """Load and check a model.

    Arguments:
        name: The name of a bundled model, of one in the user's data folder, or a folder.
        encoder: The file with the encoder's weights, for a model that names them; None for the
            file or the packages that `ctscreener.public_encoder` looks for.

    Raises:
        InputError: `model.missing`, `model.version`, `model.hash`, `model.tensors` or
            `model.unreadable`; `encoder.missing` or `encoder.hash`.
    """
    folder = find_model(os.fspath(name))
    description = read_description(folder)
    settings = read_settings(description, folder)
    weights = read_weights(folder, description["sha256"]) | from_elsewhere(settings, encoder)
    # Without memory for its tensors first: settings may ask for what the weights have not.
    with torch.device("meta"):
        check_tensors(build(settings, folder).state_dict(), weights, folder)
    networks = build(settings, folder)
    networks.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
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


def build(settings: ModelSettings | EncodedSettings, folder: Path) -> AnyScorer:
    """Build the networks that `model.json` describes, without their weights."""
    try:
        if isinstance(settings, EncodedSettings):
            return Encoded(settings)
        return new_scorer(settings)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        # Sizes that do not fit each other: the layers refuse them in many ways.
        raise damaged(folder, str(error)) from error


def from_elsewhere(
    settings: ModelSettings | EncodedSettings, encoder: Path | None
) -> dict[str, Tensor]:
    """The tensors of the encoder, for a model that names its weights; none for others."""
    if not isinstance(settings, EncodedSettings) or settings.elsewhere is None:
        return {}
    content = find_weights(encoder, settings.elsewhere.sha256)
    state = convert(content, settings.encoder)
    # As training stores them: what is calibrated and what is used are the same numbers.
    return {f"{ENCODER}{name}": tensor.half() for name, tensor in state.items()}
