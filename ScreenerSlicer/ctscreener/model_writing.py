"""Writing a model folder: which tensors are stored, how exactly, and in which order of files."""

import hashlib
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from ctscreener.calibration import Calibration
from ctscreener.encoded import Encoded
from ctscreener.model_description import FORMAT, FORMAT_VERSION, TILED, WHOLE
from ctscreener.scorer import AnyScorer
from ctscreener.settings import to_json, write_json
from ctscreener.whole_file import make_folder, write_bytes

ENCODER = "encoder."
"""How the names of an encoder's tensors begin."""


def half(networks: AnyScorer) -> dict[str, Tensor]:
    """The tensors to store: large networks in float16, a density and the like in full.

    The tensors of an encoder whose weights lie elsewhere are left out.
    """
    named = isinstance(networks, Encoded) and networks.settings.elsewhere
    return {
        name: tensor.half().contiguous() if is_large(name) else tensor.contiguous()
        for name, tensor in networks.state_dict().items()
        if not (named and name.startswith(ENCODER))
    }


def is_large(name: str) -> bool:
    """Whether a tensor belongs to a large network, which bears rounding."""
    return name.startswith(
        ("descriptor.", "condition.", "student.network.", ENCODER, "discriminator.inputs.")
    )


def packed(networks: AnyScorer) -> bytes:
    """The weights as they are stored: the same networks give the same bytes, and the same hash."""
    return save(half(networks))


def save_model(
    folder: Path,
    networks: AnyScorer,
    calibration: Calibration,
    provenance: dict[str, Any],
    card: str,
    calibration_fast: Calibration | None = None,
) -> None:
    """Write a model folder; `model.json`, by which it is found, comes last.

    Unlike results it may be read by everybody: a model is made to be passed on.

    Arguments:
        folder: Where to; made if missing.
        networks: What scores tiles; its UNets are stored as float16.
        calibration: From nll to rarity, fitted to the networks as they are stored.
        provenance: Plain JSON.
        card: Markdown.
        calibration_fast: The same for tiles that hardly overlap.
    """
    make_folder(folder, private=False)
    content = packed(networks)
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": WHOLE if isinstance(networks, Encoded) else TILED,
        "settings": to_json(networks.settings),
        "sha256": hashlib.sha256(content).hexdigest(),
        "calibration": calibration.to_json(),
        "calibration_fast": calibration_fast and calibration_fast.to_json(),
        "provenance": provenance,
    }
    for name, data in (("weights.safetensors", content), ("CARD.md", card.encode())):
        write_bytes(folder / name, data, private=False)
    write_json(folder / "model.json", description, private=False)
