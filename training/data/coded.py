"""A scan as a film: windowed HU in 256 steps, the body alone, as a sequence of AVIF or WebP pictures.

It is for scans that have to travel in little room; what is lost is measured and said.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from ctscreener.errors import InputError

Codec = Literal["avif", "webp"]
Window = tuple[float, float]
STEPS = 255
LENGTH = struct.Struct("<I")
"""How long the next picture is."""


@dataclass(frozen=True)
class Coded:
    """A packed scan.

    Arguments:
        film: Its slices, coded.
        body: Its body mask, a bit a voxel, deflated.
        error_hu: Root mean square of what is lost in the body, in HU.
    """

    film: bytes
    body: bytes
    error_hu: float


def best_codec() -> Codec:
    """AVIF where Pillow has it, which takes a third less room; else WebP."""
    return "avif" if features.check("avif") else "webp"


def encode(hu: np.ndarray, body: np.ndarray, window: Window, codec: Codec, quality: int) -> Coded:
    """Pack a scan.

    Arguments:
        hu: HU, int16, `(D, H, W)`.
        body: Voxels of the body, bool; outside of it nothing is kept.
        window: HU that become the first and the last step.
        codec: How.
        quality: 1 to 100.

    Raises:
        InputError: `pack.codec`.
    """
    grey = np.where(body, steps_of(hu, window), 0).astype(np.uint8)
    film = coded_slices(grey, codec, quality)
    found = hu_of(decoded_slices(film, codec, grey.shape), window)
    low, high = window
    lost = found[body].astype(np.float64) - np.clip(hu[body], low, high)
    error = float(np.sqrt((lost**2).mean())) if body.any() else 0.0
    return Coded(film, zlib.compress(np.packbits(body).tobytes(), 9), error)


def decode(
    film: bytes, packed: bytes, shape: tuple[int, int, int], window: Window, codec: Codec
) -> tuple[np.ndarray, np.ndarray]:
    """Unpack a scan; see `encode`.

    Returns:
        HU, int16, the window's lower end outside of the body, and the body, bool, `(D, H, W)`.

    Raises:
        InputError: `pack.codec` or `pack.damaged`.
    """
    voxels = int(np.prod(shape))
    try:
        bits = zlib.decompressobj().decompress(packed, voxels // 8 + 1)
        flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=voxels)
        body = flat.reshape(shape).astype(bool)
        grey = decoded_slices(film, codec, shape)
    except (
        zlib.error,
        struct.error,
        ValueError,
        OSError,
        EOFError,
        UnidentifiedImageError,
    ) as error:
        raise InputError(
            "pack.damaged",
            f"Expected a packed scan of {shape} voxels, found it damaged: {error}.",
            "Pack it again.",
        ) from error
    return hu_of(np.where(body, grey, 0).astype(np.uint8), window), body


def steps_of(hu: np.ndarray, window: Window) -> np.ndarray:
    """Windowed HU as steps 0 to 255, uint8."""
    low, high = window
    return np.rint((np.clip(hu, low, high) - low) / (high - low) * STEPS).astype(np.uint8)


def hu_of(steps: np.ndarray, window: Window) -> np.ndarray:
    """HU of steps, int16."""
    low, high = window
    return np.rint(low + steps.astype(np.float32) * ((high - low) / STEPS)).astype(np.int16)


def check_codec(codec: Codec) -> None:
    """Refuse what this machine's Pillow cannot code.

    Raises:
        InputError: `pack.codec`.
    """
    if not features.check(codec):
        raise InputError(
            "pack.codec",
            f"Expected a Pillow with {codec.upper()}, found {Image.__version__} without.",
            "Pack with --codec webp, or install Pillow 11.3 or newer.",
        )


def coded_slices(grey: np.ndarray, codec: Codec, quality: int) -> bytes:
    """Code slices, uint8, `(D, H, W)`: AVIF as one film, WebP one by one, each after its length.

    A film of WebP would leave out slices that are like the one before.
    """
    check_codec(codec)
    film = io.BytesIO()
    if codec == "avif":
        first, *others = (Image.fromarray(one) for one in grey)
        options: dict[str, Any] = {"speed": 6, "subsampling": "4:0:0", "quality": quality}
        first.save(film, "AVIF", save_all=True, append_images=others, **options)
        return film.getvalue()
    for one in grey:
        picture = io.BytesIO()
        Image.fromarray(one).convert("RGB").save(picture, "WEBP", quality=quality, method=4)
        film.write(LENGTH.pack(len(picture.getvalue())) + picture.getvalue())
    return film.getvalue()


def decoded_slices(film: bytes, codec: Codec, shape: tuple[int, ...]) -> np.ndarray:
    """Slices of what `coded_slices` made, uint8, `(D, H, W)`.

    Raises:
        ValueError: It holds others.
    """
    check_codec(codec)
    grey = np.empty(shape, np.uint8)
    pieces = [film] if codec == "avif" else list(pieces_of(film))
    number = 0
    for piece in pieces:
        with Image.open(io.BytesIO(piece), formats=[codec.upper()]) as pictures:
            count = getattr(pictures, "n_frames", 1)
            if (pictures.height, pictures.width) != shape[1:] or number + count > shape[0]:
                raise ValueError(f"{count} pictures of {pictures.height} x {pictures.width}")
            for frame in range(count):
                pictures.seek(frame)
                grey[number + frame] = np.asarray(pictures.convert("L"))
            number += count
    if number != shape[0]:
        raise ValueError(f"{number} pictures")
    return grey


def pieces_of(film: bytes) -> Iterator[bytes]:
    """Pictures that stand one after the other, each after its length."""
    at = 0
    while at < len(film):
        (length,) = LENGTH.unpack_from(film, at)
        at += LENGTH.size
        yield film[at : at + length]
        at += length
