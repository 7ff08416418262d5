"""A model is a folder: `model.json`, `weights.safetensors`, `CARD.md`, and nothing else.

The engine rebuilds preprocessing, networks, standardization, density and calibration from these
alone. No pickle: the weights are plain tensors, and their SHA-256 stands in the JSON.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ctscreener.calibration import Calibration
from ctscreener.conditions import Condition, ConditionSettings
from ctscreener.density import Density, DensitySettings
from ctscreener.errors import InputError
from ctscreener.networks import NetworkSettings, Shape, UNet
from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import from_json, read_json, to_json, write_json

FORMAT = "ctscreener-model"
FORMAT_VERSION = 1
BUNDLED = Path(__file__).parent.parent / "Resources" / "Models"


@dataclass(frozen=True)
class ModelSettings:
    """Everything that is needed to rebuild the networks of a model."""

    preprocess: PreprocessSettings = PreprocessSettings()
    """What is done to a scan."""
    descriptor: NetworkSettings = NetworkSettings()
    """The network that says what a voxel looks like."""
    condition: ConditionSettings = ConditionSettings()
    """What says what is to be expected there."""
    density: DensitySettings = DensitySettings()
    """What says how rare that is."""
    tile: Shape = (64, 96, 96)
    """Voxels that the networks see at a time, along (D, H, W)."""
    smooth: float = 0.0
    """Standard deviation in mm of the Gaussian that the joined scores are blurred with."""

    def __post_init__(self) -> None:
        """Raise ValueError where tiles do not fit the networks or the pooling."""
        networks = [self.descriptor, *self.condition.networks]
        for step in [self.pool, *(network.stride for network in networks)]:
            if any(side % unit or side < unit for side, unit in zip(self.tile, step, strict=True)):
                raise ValueError(f"the tile {self.tile} is no multiple of {step}")

    @property
    def pool(self) -> Shape:
        """Voxels pooled into one score, along (D, H, W)."""
        return self.preprocess.multiple

    @property
    def voxel(self) -> np.ndarray:
        """Size in mm of the voxel that one score stands for, along (D, H, W), `(3,)`."""
        return np.multiply(self.preprocess.spacing, self.pool)


class Networks(nn.Module):
    """The three networks of a model.

    Arguments:
        settings: Their sizes.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.descriptor = UNet(settings.descriptor)
        self.condition = Condition(settings.condition)
        # The seed does not matter: weights from a file or from training replace what it draws.
        generator = torch.Generator().manual_seed(0)
        self.density = Density(
            settings.descriptor.out,
            settings.condition.channels(settings.descriptor.out),
            settings.density,
            generator,
        )

    def nll(self, x: Tensor, positions: Tensor, where: Tensor) -> Tensor:
        """Anomaly scores of tiles.

        Arguments:
            x: The image, scaled to 0..1, `(B, 1, D, H, W)`.
            positions: Share of the body's box, `(B, 3, d, h, w)`, d = D / pool and so on.
            where: Which pooled voxels to score, bool, `(B, d, h, w)`.

        Returns:
            nll in nats, float32, `(B, d, h, w)`, NaN where not scored.
        """
        y = self.descriptor.pooled(x, self.settings.pool)
        c = self.condition.pooled(x, y, positions, where, self.settings.pool)
        return self.density(y, c, where)


@dataclass(frozen=True)
class Model:
    """A model that is ready to screen.

    Arguments:
        name: What the user called it.
        networks: The three networks, in evaluation mode.
        calibration: From nll to rarity.
        provenance: Data, steps, code version, measured results: plain JSON.
        card: The model card, Markdown.
        sha256: Hash of the weights.
    """

    name: str
    networks: Networks
    calibration: Calibration
    provenance: dict[str, Any]
    card: str
    sha256: str

    @property
    def settings(self) -> ModelSettings:
        """What the networks were built from."""
        return self.networks.settings


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
    return Model(
        name=folder.resolve().name,
        networks=networks,
        calibration=Calibration.from_json(description["calibration"]),
        provenance=description["provenance"],
        card=card.read_text(encoding="utf-8") if card.is_file() else "This model has no card.",
        sha256=description["sha256"],
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
    return description


def build(description: dict[str, Any], folder: Path) -> Networks:
    """Build the networks that `model.json` describes, without their weights."""
    try:
        return Networks(from_json(ModelSettings, description["settings"]))
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


def fill(networks: Networks, weights: dict[str, Tensor], folder: Path) -> None:
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


def half(networks: Networks) -> dict[str, Tensor]:
    """The tensors to store: the UNets in float16, the density, which is less forgiving, as is."""
    return {
        name: tensor.half().contiguous() if is_unet(name) else tensor.contiguous()
        for name, tensor in networks.state_dict().items()
    }


def is_unet(name: str) -> bool:
    """Whether a tensor belongs to the descriptor or the condition network."""
    return name.startswith(("descriptor.", "condition."))


def packed(networks: Networks) -> bytes:
    """The weights as they are stored: the same networks give the same bytes, and the same hash."""
    return save(half(networks))


def save_model(
    folder: Path,
    networks: Networks,
    calibration: Calibration,
    provenance: dict[str, Any],
    card: str,
) -> None:
    """Write a model folder; `model.json`, by which it is found, comes last.

    Arguments:
        folder: Where to; made if missing.
        networks: The three networks; `descriptor` and `condition` are stored as float16.
        calibration: From nll to rarity, fitted to the networks as they are stored.
        provenance: Plain JSON.
        card: Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = packed(networks)
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "settings": to_json(networks.settings),
        "sha256": hashlib.sha256(content).hexdigest(),
        "calibration": calibration.to_json(),
        "provenance": provenance,
    }
    for name, data in (("weights.safetensors", content), ("CARD.md", card.encode())):
        beside = folder / f"{name}.part"
        beside.write_bytes(data)
        os.replace(beside, folder / name)
    write_json(folder / "model.json", description)
