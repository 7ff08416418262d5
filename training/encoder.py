"""The stage that brings a public encoder into the form that Screener reads."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.errors import InputError
from ctscreener.public_encoder import MERLIN_SHA256, SHA256, SOURCE, convert, find_weights
from ctscreener.settings import from_json, read_json, to_json, write_json
from ctscreener.whole_file import whole_file

WIDTHS, BLOCKS = (64, 128, 256, 512), (3, 8, 36, 3)
"""Of the public encoder, a ResNet-152."""
BUNDLED = 2
"""Stages that fit into the bundle; with more, a model names the weights instead of holding them."""
TOLERANCE = 2e-3
"""How far a known output may be off: rounding of sums in another order."""


@dataclass(frozen=True)
class EncoderStageSettings:
    """Take the first stages of a public CT encoder, checked against a known output.

    With `--tune` the stage trains such an encoder on, or one from random weights, and has other
    flags: see `encoder --tune --help`.
    """

    out: Path = Path("runs/encoder")
    """Folder to write."""
    weights: Path | None = None
    """The public weights, their parts joined; without it those of the installed packages."""
    merlin: bool = False
    """Whether the file holds Stanford's Merlin instead of Astra, which goes on from it."""
    stages: int = 3
    """Stages to keep, from the finest on: 2 fit into a bundled model."""


@dataclass(frozen=True)
class EncoderFolder:
    """What `encoder.json` says.

    Arguments:
        settings: Sizes.
        sha256: Hash of the public file; of a tuned encoder, which is not public, of its weights.
        source: Where that comes from, and its licence.
        elsewhere: Whether a model names these weights instead of holding them.
        tuned: How it was trained on, see `training.tune`; None for the public weights as they are.
    """

    settings: EncoderSettings
    sha256: str
    source: str
    elsewhere: bool
    tuned: dict[str, Any] | None = None


def main(settings: EncoderStageSettings) -> None:
    """Write the encoder.

    Arguments:
        settings: All settings.

    Raises:
        InputError: The weights are missing or others, or give another output than they should.
    """
    if not 1 <= settings.stages <= len(WIDTHS):
        raise InputError(
            "encoder.stages",
            f"Expected 1 to {len(WIDTHS)} stages, found {settings.stages}.",
            "Give another --stages.",
        )
    sha256 = MERLIN_SHA256 if settings.merlin else SHA256
    sizes = EncoderSettings(WIDTHS[: settings.stages], BLOCKS[: settings.stages])
    state = convert(find_weights(settings.weights, sha256), sizes)
    encoder = Encoder(sizes)
    encoder.load_state_dict(state)
    if not settings.merlin:
        check_output(encoder)
    source = SOURCE if not settings.merlin else "Merlin's CT encoder (Stanford, MIT)"
    about = EncoderFolder(sizes, sha256, source, settings.stages > BUNDLED)
    write_encoder(settings.out, packed(state), about)
    print(f"encoder: wrote {settings.stages} stages to {settings.out}")


def packed(state: Mapping[str, Tensor]) -> bytes:
    """The weights of an encoder as they are stored, in float16."""
    return save({name: tensor.half().contiguous() for name, tensor in state.items()})


def write_encoder(folder: Path, content: bytes, about: EncoderFolder) -> None:
    """Write an encoder; `encoder.json`, by which it is found, comes last.

    Arguments:
        folder: Where to; made if missing.
        content: Its weights, see `packed`.
        about: What they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "encoder.safetensors") as beside:
        beside.write_bytes(content)
    data = {
        "encoder": to_json(about.settings),
        "sha256": about.sha256,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "source": about.source,
        "elsewhere": about.elsewhere,
    }
    write_json(folder / "encoder.json", data | ({"tuned": about.tuned} if about.tuned else {}))


def test_image() -> torch.Tensor:
    """An image that any machine makes alike, `(1, 1, 17, 33, 33)`, 0..1."""
    d, h, w = torch.meshgrid(*[torch.arange(n).float() for n in (17, 33, 33)], indexing="ij")
    wave = torch.sin(0.7 * d) + torch.cos(0.31 * h) + torch.sin(0.23 * w + 0.11 * h)
    return ((wave + 3) / 6)[None, None]


KNOWN = (0.17121, 0.18996, 0.06312, 0.16746)
"""Mean of the map of each stage for that image."""


def check_output(encoder: Encoder) -> None:
    """Compare what the encoder gives with what the public weights are known to give.

    Raises:
        InputError: `encoder.output`.
    """
    with torch.inference_mode():
        found = [float(z.mean()) for z in encoder.eval()(test_image())]
    if any(abs(a - b) > TOLERANCE * max(abs(b), 0.1) for a, b in zip(found, KNOWN, strict=False)):
        raise InputError(
            "encoder.output",
            f"Expected stages whose means are {KNOWN[: len(found)]} on a test image, found "
            f"{found}.",
            "This machine computes convolutions wrongly, or this version converts them wrongly.",
        )


def load_encoder(folder: Path) -> tuple[Encoder, EncoderFolder]:
    """Load what the stage wrote, ready to use.

    Arguments:
        folder: Its folder.

    Raises:
        InputError: `encoder.unfinished` or `encoder.damaged`.
    """
    if not (folder / "encoder.json").is_file():
        raise InputError(
            "encoder.unfinished",
            f"Expected an encoder in {folder}, found none.",
            "Run the stage `encoder` first, or check --encoder.",
        )
    stored = read_json(folder / "encoder.json")
    about = EncoderFolder(
        from_json(EncoderSettings, stored["encoder"]),
        stored["sha256"],
        stored["source"],
        stored["elsewhere"],
        stored.get("tuned"),
    )
    content = (folder / "encoder.safetensors").read_bytes()
    try:
        if hashlib.sha256(content).hexdigest() != stored["weights_sha256"]:
            raise ValueError("weights of another hash")
        encoder = Encoder(about.settings)
        encoder.load_state_dict({name: tensor.float() for name, tensor in load(content).items()})
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            "encoder.damaged",
            f"Expected the weights of which encoder.json tells in {folder}, found others: "
            f"{str(error).splitlines()[0]}.",
            "Run the stage `encoder` again.",
        ) from error
    return encoder.eval().requires_grad_(False), about
